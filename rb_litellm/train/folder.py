"""Write a predictor's folder: complete or not at all, and never over something that is there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rb_litellm.predictors.trained.model import FORMAT, Predictor

Read = TypeVar("Read")


def check_free(out: Path) -> None:
    """Whether `out` can be written: it is an empty folder, or can be made below one that is there.

    Raises:
        OSError: it cannot; says why.
    """
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise FileExistsError(f"{out} exists already; give another --out, or remove it first")
    place = next(one for one in out.absolute().parents if one.exists() or one.is_symlink())
    if not place.is_dir():
        raise NotADirectoryError(f"{out} cannot be written: {place} is no folder")
    if not os.access(place, os.W_OK):
        raise PermissionError(f"{out} cannot be written: {place} takes no files")


def write_folder(out: Path, files: Mapping[str, bytes]) -> Predictor:
    """Write `files` and their manifest as the folder `out`, and load it as a proxy would.

    The folder appears under its name only when all of it is on disk and has been read back.

    Raises:
        FileExistsError: `out` holds something.
        PredictorError: what was written cannot be loaded.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = json.dumps({"format": FORMAT, "files": digests}, indent=1).encode()
    return write_files(out, {**files, "manifest.json": manifest}, Predictor.load)


def write_files(out: Path, files: Mapping[str, bytes], read: Callable[[Path], Read]) -> Read:
    """Write `files` as the folder `out`, and give what `read` makes of it; of what it refuses, nothing stays.

    Raises:
        FileExistsError: `out` holds something.
        OSError: it cannot be made; names `out`.
    """
    check_free(out)
    made = None
    try:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
            for name, content in files.items():
                _write(made / name, content)
        except OSError as error:
            # The folder that is meant, and not the one that it is made in.
            raise OSError(error.errno, error.strerror, str(out)) from None
        made.chmod(0o755)
        told = read(made)
        if out.is_dir():
            out.rmdir()
        made.rename(out)
        return told
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
