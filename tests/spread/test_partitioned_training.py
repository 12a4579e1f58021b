"""Training on files that two workers of a Dask cluster read and keep, beside training in one process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from rb_litellm.cli import main
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.trained.model import Predictor
from rb_litellm.spread.dask_cluster import cluster_client
from rb_litellm.spread.work import SpreadError
from rb_litellm.train.data.dataset import read_dataset
from rb_litellm.train.partitioned.partition import Partition
from rb_litellm.train.partitioned.partitions import Partitions
from tests.spread.clusters import cluster, scheduler, worker
from tests.train.conftest import answers

pytest.importorskip("xgboost.dask", exc_type=ImportError, reason="needs rb_litellm[partitioned]")
PROMPTS = 200


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two workers."""
    with cluster(tmp_path_factory.mktemp("dask"), 2) as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """All rows, and each half of the prompts."""
    folder = tmp_path_factory.mktemp("rows")
    rows = answers(PROMPTS)
    parts = {
        "all": rows,
        "even": [row for number, row in enumerate(rows) if number // 2 % 2 == 0],
        "odd": [row for number, row in enumerate(rows) if number // 2 % 2 == 1],
    }
    for name, part in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    whole, even, odd = (folder / f"{name}.jsonl" for name in parts)
    return whole, even, odd


@pytest.fixture(scope="module")
def alone(files: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A predictor trained on all rows in one process."""
    return trained(tmp_path_factory.mktemp("alone") / "predictor", files[0], "--jobs", 1)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", "--quiet", *map(str, arguments)])


def trained(out: Path, *data: object) -> Path:
    first, *others = data
    told = run("--out", out, "--data", first, *others)
    assert told.exit_code == 0, told.output
    return out


def said(folder: Path, rows: Path) -> tuple[np.ndarray, np.ndarray]:
    """Quality and length predicted for the prompts of a file."""
    told = Predictor.load(folder).predict(read_dataset([rows]).prompts)
    return told.quality, np.log(told.output_tokens)


def test_one_file_on_a_cluster_is_as_in_one_process(
    address: str, files: tuple[Path, Path, Path], alone: Path, tmp_path: Path
) -> None:
    there = trained(tmp_path / "there", files[0], "--partitioned", "--scheduler", address)
    assert (there / "encoder.npz").read_bytes() == (alone / "encoder.npz").read_bytes()
    assert (there / "prompts.txt").read_bytes() == (alone / "prompts.txt").read_bytes()
    for here, told in zip(said(alone, files[0]), said(there, files[0]), strict=True):
        # Labels have 32 bits on the cluster.
        assert told == pytest.approx(here, abs=1e-5)


def test_two_files_are_learned_from_together_and_the_same_every_time(
    address: str, files: tuple[Path, Path, Path], alone: Path, tmp_path: Path
) -> None:
    whole, *halves = files
    places = ("--data", halves[1], "--partitioned", "--scheduler", address)
    first, second = (trained(tmp_path / name, halves[0], *places) for name in ("first", "second"))
    for name in ("encoder.npz", "booster.ubj", "model.json", "prompts.txt"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    card, of_one = (json.loads((folder / "card.json").read_text()) for folder in (first, alone))
    assert (card["rows"], card["prompts"]) == (of_one["rows"], of_one["prompts"]) == (2 * PROMPTS, PROMPTS)
    # Half of the prompts alone would know half as many n-grams.
    (quality, length), (here, length_here) = said(first, whole), said(alone, whole)
    assert np.abs(quality - here).mean() < 0.02
    assert np.abs(length - length_here).mean() < 0.1
    assert card["routing"]["argmax_quality"] == pytest.approx(of_one["routing"]["argmax_quality"], abs=0.01)


def test_no_prompt_leaves_its_worker_with_the_labels(address: str, files: tuple[Path, Path, Path]) -> None:
    with cluster_client(address) as client, client.as_current():
        partitions = Partitions(client, files[1:])
        labels, whole = partitions.labels, read_dataset([files[0]])
        assert set(labels.prompts) == {Prompt()}
        assert labels.prompt_ids == whole.prompt_ids
        assert np.array_equal(labels.quality, whole.quality)
        kept = partitions.gather(partitions.keep(Partition.some, [np.arange(3)] * 2))
        assert [len(part) for part in kept] == [3, 3]
        figures = np.arange(PROMPTS)
        every = partitions.every()
        assert every.join(every.split(figures)).tolist() == figures.tolist()


def test_a_worker_that_ends_ends_the_training(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path),
        cluster_client(address) as client,
        client.as_current(),
    ):
        with worker(address, tmp_path / "other"):
            client.wait_for_workers(2)
            partitions = Partitions(client, files[1:])
        with pytest.raises(SpreadError, match="has ended, and its part of the answers with it"):
            partitions.gather(partitions.keep(Partition.moments))


def test_a_wrong_row_is_named(address: str, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"prompt": "x", "model": "m", "quality": 2.0}\n')
    told = run(
        "--data", files[1], "--data", wrong, "--partitioned", "--scheduler", address, "--out", tmp_path / "o"
    )
    assert told.exit_code == 1
    assert f"{wrong}:1: quality is 2" in told.stderr


def test_it_needs_a_scheduler_and_files(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    told = run("--data", files[0], "--partitioned", "--out", tmp_path / "out")
    assert told.exit_code == 2
    assert "--partitioned needs --scheduler, and --data alone" in told.stderr


def test_without_data_frames_it_says_what_to_install(
    address: str, files: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost.dask", None)
    monkeypatch.delattr("xgboost.dask", raising=False)
    told = run("--data", files[0], "--partitioned", "--scheduler", address, "--out", tmp_path / "out")
    assert told.exit_code == 1
    assert "pip install 'rb_litellm[partitioned]'" in told.stderr
