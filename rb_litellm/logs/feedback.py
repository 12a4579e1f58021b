"""Grades of answers as their users gave them: `{"call_id", "score"}`, appended to and read from JSON lines.

Several workers append to one file: each line is one write to the end of it, which no other write parts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rb_litellm.excerpt import excerpt
from rb_litellm.logs.sources.files import LogFileError, named_rows
from rb_litellm.logs.wrong_rows import WrongRows

MAX_CALL_ID = 256
"""Characters of a call's id."""
_FIELDS = ("call_id", "score", "thumbs")
_THUMBS = {"up": 1.0, "down": 0.0}


class FeedbackFull(Exception):
    """The file has reached its bound; what it holds is kept and nothing is added."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """How good the answer of one call was."""

    call_id: str
    """LiteLLM's: `x-litellm-call-id` of the response."""
    score: float
    """In [0, 1], higher is better."""


def parse_feedback(given: object) -> Feedback:
    """A grade from the outside.

    Raises:
        ValueError: names the field that is wrong, its value and what is allowed.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"feedback is {type(given).__name__}; allowed is an object of call_id and score")
    if unknown := sorted(str(name) for name in given if name not in _FIELDS):
        raise ValueError(f"unknown field {unknown[0][:60]!r}; allowed are call_id, and score or thumbs")
    call_id, score, thumbs = given.get("call_id"), given.get("score"), given.get("thumbs")
    if thumbs is not None:
        if score is not None:
            raise ValueError("score and thumbs are both given; allowed is one of them")
        if not isinstance(thumbs, str) or thumbs not in _THUMBS:
            raise ValueError(f"thumbs is {excerpt(thumbs)}; allowed is up or down")
        score = _THUMBS[thumbs]
    if not isinstance(call_id, str) or not 1 <= len(call_id) <= MAX_CALL_ID:
        raise ValueError(f"call_id is {excerpt(call_id)}; allowed is a text of 1 to {MAX_CALL_ID} characters")
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0.0 <= score <= 1.0:
        raise ValueError(f"score is {excerpt(score)}; allowed is a number from 0 to 1")
    return Feedback(call_id, float(score))


def read_feedback(path: Path) -> dict[str, float]:
    """Scores by call id from a file of any kind that logs come in; the last one of a call counts.

    A line that is cut, and a row that is no feedback, are left out and told in the log.

    Raises:
        LogFileError: the file cannot be read, or too many of its rows are no feedback (`wrong_rows`).
    """
    scores: dict[str, float] = {}
    wrong, right = WrongRows(LogFileError), 0
    for number, row in named_rows(path):
        try:
            told = {name: row.get(name) for name in _FIELDS}
            one = parse_feedback({**told, "score": _number(told["score"])})
        except ValueError as error:  # noqa: PERF203  its row is named
            wrong.add(f"{path}, row {number}", error)
        else:
            right += 1
            scores[one.call_id] = one.score
    wrong.check(right)
    return scores


def append_feedback(path: Path, max_bytes: int, one: Feedback) -> None:
    """Add a line in one write; the file may pass `max_bytes` by one line per worker at most.

    Raises:
        FeedbackFull: the line would not fit.
        OSError: the file cannot be written.
    """
    line = json.dumps({"call_id": one.call_id, "score": one.score}).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        if os.fstat(file).st_size + len(line) > max_bytes:
            raise FeedbackFull(f"{path} holds {max_bytes} bytes, its bound")
        if os.write(file, line) != len(line):
            os.write(file, b"\n")  # what follows stays readable
            raise OSError(f"{path}: a line was written in part")
    finally:
        os.close(file)


def _number(value: Any) -> Any:
    # CSV knows texts only.
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
