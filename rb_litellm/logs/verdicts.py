"""Verdicts of judged shadow evaluation: one JSON line for each comparison, without prompts or answers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rb_litellm.excerpt import excerpt
from rb_litellm.logs.sources.files import LogFileError, named_rows
from rb_litellm.logs.wrong_rows import WrongRows

Outcome = Literal["win", "tie", "loss", "same"]
"""Of what would have been chosen against what served; `same` where both are one model."""
OUTCOMES: tuple[str, ...] = get_args(Outcome)
_TEXTS = ("call_id", "kind", "candidate", "served", "would", "outcome")
_NEEDED = ("at_s", "served_usd", "would_usd")
_NUMBERS = (*_NEEDED, "served_s", "would_s", "judge_usd")


class VerdictsFull(Exception):
    """The file has reached its bound; what it holds is kept and nothing is added."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison."""

    at_s: float
    """Unix time."""
    call_id: str
    kind: str
    """Of the prompt."""
    candidate: str
    """Name of the weighting that would have chosen."""
    served: str
    """Model group that answered the client."""
    would: str
    """Model group that would have been chosen."""
    outcome: Outcome
    served_usd: float
    would_usd: float
    """What the answers cost; of `same` both are the served one's."""
    served_s: float | None = None
    would_s: float | None = None
    judge_usd: float = 0.0


def append_verdict(path: Path, max_bytes: int, one: Comparison) -> None:
    """Add a line in one write.

    Raises:
        VerdictsFull: the line would not fit.
        OSError: the file cannot be written.
    """
    line = json.dumps(asdict(one)).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        if os.fstat(file).st_size + len(line) > max_bytes:
            raise VerdictsFull(f"{path} holds {max_bytes} bytes, its bound")
        if os.write(file, line) != len(line):
            os.write(file, b"\n")  # what follows stays readable
            raise OSError(f"{path}: a line was written in part")
    finally:
        os.close(file)


def read_verdicts(path: Path) -> Iterator[Comparison]:
    """All verdicts of a file; a line that is cut or no verdict is left out, and told in the log.

    Raises:
        LogFileError: the file cannot be read, or has rows and no verdict.
    """
    # All of one comparison stands in a row, so that whatever can be read counts.
    wrong, right = WrongRows(LogFileError, most=1.0), 0
    for number, row in named_rows(path):
        try:
            one = _verdict(row)
        except ValueError as error:  # noqa: PERF203  its row is named
            wrong.add(f"{path}, row {number}: is no verdict", error)
        else:
            right += 1
            yield one
    wrong.check(right)


def _verdict(row: Mapping[str, Any]) -> Comparison:
    """A row as a verdict.

    Raises:
        ValueError: a field is missing, or holds what it may not; says what is allowed.
    """
    for name in _TEXTS:
        if not isinstance(row.get(name), str):
            raise ValueError(f"{name} is {excerpt(row.get(name))}; allowed is a text")
    if row["outcome"] not in OUTCOMES:
        raise ValueError(f"outcome is {excerpt(row['outcome'])}; allowed are {', '.join(OUTCOMES)}")
    for name in _NUMBERS:
        value: Any = row.get(name)
        needed = name in _NEEDED or value is not None
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        if needed and not (known and abs(value) <= sys.float_info.max):
            raise ValueError(f"{name} is {excerpt(value)}; allowed is a number")
    return Comparison(**{name: row[name] for name in Comparison.__slots__ if row.get(name) is not None})
