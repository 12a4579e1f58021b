"""Feedback is kept whole by several workers, within its bound, and read strictly."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rb_litellm.logs.feedback import (
    Feedback,
    FeedbackFull,
    append_feedback,
    parse_feedback,
    read_feedback,
)
from rb_litellm.logs.sources.files import LogFileError


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    append_feedback(tmp_path / "f.jsonl", 1000, Feedback("c1", 0.5))
    append_feedback(tmp_path / "f.jsonl", 1000, Feedback("c2", 1.0))
    assert read_feedback(tmp_path / "f.jsonl") == {"c1": 0.5, "c2": 1.0}


def test_the_last_grade_of_a_call_counts(tmp_path: Path) -> None:
    for score in (0.0, 1.0):
        append_feedback(tmp_path / "f.jsonl", 1000, Feedback("c1", score))
    assert read_feedback(tmp_path / "f.jsonl") == {"c1": 1.0}


def test_writers_at_the_same_time_part_no_line(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: append_feedback(path, 1 << 20, Feedback(f"c{n}", 0.5)), range(400)))
    assert set(read_feedback(path)) == {f"c{n}" for n in range(400)}


def test_a_full_file_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    for n in range(3):
        append_feedback(path, 100, Feedback(f"c{n}", 0.5))
    with pytest.raises(FeedbackFull, match="100 bytes"):
        append_feedback(path, 100, Feedback("c3", 0.5))
    assert path.stat().st_size <= 100
    assert list(read_feedback(path)) == ["c0", "c1", "c2"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "feedback is list"),
        ({"call_id": "c1"}, "score is None"),
        ({"call_id": "c1", "score": True}, "score is True"),
        ({"call_id": "c1", "score": 1.5}, "score is 1.5; allowed is a number from 0 to 1"),
        ({"call_id": "c1", "score": float("nan")}, "score is nan"),
        ({"call_id": "c1", "score": "good"}, "score is 'good'"),
        ({"call_id": "c1", "thumbs": ["up"]}, r"thumbs is \['up'\]; allowed is up or down"),
        ({"call_id": "", "score": 1}, "call_id is ''"),
        ({"call_id": "c" * 257, "score": 1}, "allowed is a text of 1 to 256"),
        ({"call_id": 7, "score": 1}, "call_id is 7"),
        ({"call_id": "c1", "score": 1, "note": "x"}, "unknown field 'note'"),
    ],
)
def test_wrong_feedback_is_named(given: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        parse_feedback(given)


def test_one_wrong_row_of_a_file_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "f.jsonl"
    good, wrong = json.dumps({"call_id": "c1", "score": 1}) + "\n", json.dumps({"call_id": "c2"}) + "\n"
    path.write_text(good + wrong)
    assert read_feedback(path) == {"c1": 1.0}
    # Further lines of a record are indented once a worker has begun in this process.
    (told,) = caplog.messages
    assert [line.strip() for line in told.splitlines()] == [
        f"{path}, row 2: score is None; allowed is a number from 0 to 1",
        "1 of 2 rows are wrong, and left out",
    ]
    path.write_text(wrong)
    with pytest.raises(LogFileError, match="row 1: score is None"):
        read_feedback(path)


def test_a_file_of_percents_is_no_feedback(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    scores = [1, *[75] * 9]
    path.write_text(
        "".join(json.dumps({"call_id": f"c{n}", "score": s}) + "\n" for n, s in enumerate(scores))
    )
    with pytest.raises(LogFileError, match=r"(?s)row 2: score is 75; .*9 of 10 rows are wrong; allowed"):
        read_feedback(path)


def test_a_line_that_a_full_disk_has_cut_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "f.jsonl"
    append_feedback(path, 1000, Feedback("c1", 0.5))
    path.write_bytes(path.read_bytes() + b'{"call_id": "c2", "sc\n' + b"\0" * 64 + b"\n")
    append_feedback(path, 1000, Feedback("c3", 1.0))
    assert read_feedback(path) == {"c1": 0.5, "c3": 1.0}
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"{path}, row 2",
        f"{path}, row 3",
    ]


def test_csv_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("call_id,score,who\n12,0.5,me\n")
    assert read_feedback(tmp_path / "f.csv") == {"12": 0.5}
