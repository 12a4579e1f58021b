"""Files that are cut or hold what no row may hold: an error names them, and what is allowed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rb_litellm.sim.workloads import sharing, workload
from rb_litellm.train.data.dataset import DataError, read_dataset
from rb_litellm.train.data.predicted import prompts_of_file

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


def test_of_a_cut_file_that_is_refused_nothing_says_that_it_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = cut(tmp_path / "a.jsonl.gz", "".join(json.dumps(ROW) + "\n" for _ in range(50)))
    with pytest.raises(DataError, match="the packed file is cut or damaged"):
        read_dataset([path])
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
def test_a_file_of_prompts_without_rows_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("")
    with pytest.raises(DataError, match=rf"{name}: has no rows; each needs `prompt` or `messages`"):
        list(prompts_of_file(path))


def test_of_a_file_in_another_encoding_a_warning_tells_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("prompt\nHello\nCafé au lait?\n".encode("latin-1"))
    for _ in range(2):
        assert len(list(prompts_of_file(path))) == 2
    assert caplog.text.count("a.csv:3: has characters that are not UTF-8") == 1


def test_traces_that_are_cut_are_named(tmp_path: Path) -> None:
    arrivals = cut(tmp_path / "a.csv.gz", "arrival_s\n" + "".join(f"{n}\n" for n in range(999)))
    with pytest.raises(ValueError, match=r"a\.csv\.gz: cannot be read"):
        workload.trace(arrivals)
    with pytest.raises(ValueError, match=r"b\.jsonl\.gz: cannot be read"):
        sharing.requests(cut(tmp_path / "b.jsonl.gz", "{}\n" * 50), 10)


@pytest.mark.parametrize("tokens", ["1e30", "1" + "0" * 400, "NaN", "-Infinity"])
def test_a_length_that_no_answer_has_is_named_by_its_line(tmp_path: Path, tokens: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + (json.dumps(ROW).replace("5}", tokens + "}") + "\n") * 2)
    with pytest.raises(DataError, match=r"a\.jsonl:2: output_tokens is .*; allowed is a number"):
        read_dataset([path])


def test_a_row_that_is_nested_too_deeply_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + ("[" * 100_000 + "\n") * 2)
    with pytest.raises(DataError, match=r"a\.jsonl:2: is not JSON"):
        read_dataset([path])
