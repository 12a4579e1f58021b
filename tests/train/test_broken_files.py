"""Files that are cut or hold what no row may hold: an error names them, and what is allowed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rb_litellm.sim import sharing, workload
from rb_litellm.train.data.dataset import DataError, read_dataset

ROW = {"prompt": "What is a balance?", "model": "m", "quality": 1.0, "output_tokens": 5}


def cut(path: Path, text: str) -> Path:
    """A packed file whose download has stopped half way."""
    packed = gzip.compress(text.encode())
    path.write_bytes(packed[: len(packed) // 2])
    return path


def test_a_file_of_answers_that_is_cut_is_named(tmp_path: Path) -> None:
    path = cut(tmp_path / "a.jsonl.gz", "".join(json.dumps(ROW) + "\n" for _ in range(50)))
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: cannot be read"):
        read_dataset([path])


def test_traces_that_are_cut_are_named(tmp_path: Path) -> None:
    arrivals = cut(tmp_path / "a.csv.gz", "arrival_s\n" + "".join(f"{n}\n" for n in range(999)))
    with pytest.raises(ValueError, match=r"a\.csv\.gz: cannot be read"):
        workload.trace(arrivals)
    with pytest.raises(ValueError, match=r"b\.jsonl\.gz cannot be read"):
        sharing.requests(cut(tmp_path / "b.jsonl.gz", "{}\n" * 50), 10)


@pytest.mark.parametrize("tokens", ["1e30", "1" + "0" * 400, "NaN", "-Infinity"])
def test_a_length_that_no_answer_has_is_named_by_its_line(tmp_path: Path, tokens: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW).replace("5}", tokens + "}") + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: output_tokens is .*; allowed is a number"):
        read_dataset([path])


def test_a_row_that_is_nested_too_deeply_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + "[" * 100_000 + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: is not JSON"):
        read_dataset([path])
