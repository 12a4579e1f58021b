"""The files of a predictor's folder: of bounded size, inside the folder, and each with its checksum.

A folder may come from anywhere. What is used of it is what was checked: the bytes, not the names.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST = "manifest.json"
MAX_FILES = 64
MAX_BYTES: Mapping[str, int] = {
    MANIFEST: 64 << 10,
    "model.json": 16 << 20,
    "encoder.npz": 64 << 20,
    "booster.ubj": 256 << 20,
}
"""Bytes of each file that is used; OTHER_BYTES of any other that the manifest names."""
OTHER_BYTES = 16 << 20
MAX_UNPACKED = 256 << 20
"""Bytes of all arrays of an archive together, as they are in memory."""


class FolderError(ValueError):
    """A folder whose files cannot be used, and why."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, as it stands.

    Raises:
        OSError, ValueError, RecursionError: there is none that can be read.
    """
    manifest = json.loads(_read(folder, MANIFEST))
    if not isinstance(manifest, dict):
        raise FolderError(f"{MANIFEST} is no object")
    return manifest


def read_files(folder: Path, digests: Mapping[str, str], wanted: tuple[str, ...]) -> dict[str, bytes]:
    """The wanted files, after all that the manifest names have been compared with it.

    Raises:
        FolderError: a file is missing from the manifest, too large, altered, or not in the folder itself.
        OSError: a file cannot be read.
    """
    if not isinstance(digests, Mapping) or len(digests) > MAX_FILES:
        raise FolderError(f"{MANIFEST} names no files, or more than {MAX_FILES}")
    for name in wanted:
        if name not in digests:
            raise FolderError(f"{name} is not in {MANIFEST}")
    kept = {}
    for name, digest in digests.items():
        content = _read(folder, name)
        if hashlib.sha256(content).hexdigest() != digest:
            raise FolderError(f"{name} is not what was written (checksum differs)")
        if name in wanted:
            kept[name] = content
    return kept


def check_arrays(content: bytes) -> None:
    """Whether a NumPy archive is as large in memory as it may be, and holds what its parts say.

    Raises:
        FolderError: it is larger, or a part claims to be.
        OSError, ValueError, zipfile.BadZipFile: it is no such archive.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        if len(parts) > MAX_FILES or sum(part.file_size for part in parts) > MAX_UNPACKED:
            raise FolderError(f"an archive of more than {MAX_UNPACKED >> 20} MB")
        for part in parts:
            with archive.open(part) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_header_2
                shape, _, dtype = read(file)
                if dtype.hasobject or math.prod(shape) * dtype.itemsize > part.file_size:
                    raise FolderError(f"{part.filename[:64]!r} claims more than it holds")


def _read_header_2(file: Any) -> Any:
    return np.lib.format.read_array_header_2_0(file)


def _read(folder: Path, name: object) -> bytes:
    if not isinstance(name, str) or not name or "/" in name or "\\" in name or "\0" in name or name[0] == ".":
        raise FolderError(f"{str(name)[:64]!r} is no name of a file in the folder")
    # A mounted folder may consist of links, but what they lead to lies within it.
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FolderError(f"{name!r} leads out of the folder")
    if not path.is_file():
        raise FileNotFoundError(f"{name} is missing, or no file")
    most = MAX_BYTES.get(name, OTHER_BYTES)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise FolderError(f"{name} has more than {most} bytes")
    return content
