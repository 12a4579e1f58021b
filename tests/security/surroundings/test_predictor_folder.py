"""A predictor's folder costs what it may cost, leads nowhere else, and makes one kind of error."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rb_litellm.bench.real.placeholder_predictor import train_placeholder
from rb_litellm.predictors.trained.folder_files import MAX_BYTES
from rb_litellm.predictors.trained.model import Predictor, PredictorError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "predictor"
    train_placeholder(["small", "large"], folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "predictor"))


def replace(folder: Path, name: str, content: bytes) -> None:
    """Put a file into the folder, with its checksum."""
    (folder / name).write_bytes(content)
    listed(folder, **{name: hashlib.sha256(content).hexdigest()})


def listed(folder: Path, **files: str | None) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].update(files)
    manifest["files"] = {name: digest for name, digest in manifest["files"].items() if digest}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(folder: Path) -> str:
    with pytest.raises(PredictorError) as error:
        Predictor.load(folder)
    assert len(str(error.value)) < 1000
    return str(error.value)


def test_it_loads_as_it_was_written(folder: Path) -> None:
    assert Predictor.load(folder).models == ("small", "large")


def test_a_small_archive_of_large_arrays_is_not_unpacked(folder: Path) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, idf=np.zeros(80_000_000, dtype=np.float32), table=np.zeros(1))
    assert len(packed.getvalue()) < 1 << 20
    replace(folder, "encoder.npz", packed.getvalue())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "MB" in refused(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_an_array_that_claims_more_than_it_holds_is_refused(folder: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**11,)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("idf.npy", header.getvalue())
    replace(folder, "encoder.npz", packed.getvalue())
    assert "claims more" in refused(folder)


@pytest.mark.parametrize("name", sorted(MAX_BYTES))
def test_a_file_beyond_its_bound_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(MAX_BYTES[name] + 1)
    assert "more than" in refused(folder)


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "a/b", "..", ".hidden", "", "a\x00b"])
def test_names_stay_within_the_folder(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_bytes(b"x")
    listed(folder, **{name: hashlib.sha256(b"x").hexdigest()})
    assert "no name of a file" in refused(folder)


def test_links_stay_within_the_folder(folder: Path) -> None:
    (folder.parent / "outside").write_bytes(b"x")
    (folder / "extra").symlink_to(folder.parent / "outside")
    listed(folder, extra=hashlib.sha256(b"x").hexdigest())
    assert "leads out" in refused(folder)


def test_links_within_it_are_read_as_kubernetes_mounts_them(folder: Path) -> None:
    (folder / "..data").mkdir()
    for name in ("model.json", "encoder.npz"):
        (folder / name).rename(folder / "..data" / name)
        (folder / name).symlink_to(Path("..data") / name)
    assert Predictor.load(folder).models == ("small", "large")


def test_what_would_block_is_not_opened(folder: Path) -> None:
    (folder / "card.json").unlink()
    os.mkfifo(folder / "card.json")
    refused(folder)


@pytest.mark.parametrize("name", ["model.json", "encoder.npz", "booster.ubj"])
def test_what_is_used_is_listed(folder: Path, name: str) -> None:
    listed(folder, **{name: None})
    assert "not in manifest.json" in refused(folder)


def test_a_booster_cut_short_or_with_its_bytes_changed_ends_no_process(folder: Path) -> None:
    whole = (folder / "booster.ubj").read_bytes()
    random = np.random.default_rng(0)
    for size in (len(whole) // 2, len(whole) - 1):
        replace(folder, "booster.ubj", whole[:size])
        refused(folder)
    for _ in range(12):
        changed = bytearray(whole)
        for at in random.integers(0, len(whole), 8):
            changed[at] = random.integers(0, 256)
        replace(folder, "booster.ubj", bytes(changed))
        try:
            Predictor.load(folder)
        except PredictorError:
            continue


NOISE = [b"", b"[" * 100_000, b"{}", b"null", b"[]", b'{"models": 7}', b"\xff" * 100, b"9" * 5000]


@pytest.mark.parametrize("content", NOISE, ids=range(len(NOISE)))
@pytest.mark.parametrize("name", ["model.json", "encoder.npz", "booster.ubj", "manifest.json"])
def test_noise_makes_one_kind_of_error(folder: Path, name: str, content: bytes) -> None:
    if name == "manifest.json":
        (folder / name).write_bytes(content)
    else:
        replace(folder, name, content)
    refused(folder)
