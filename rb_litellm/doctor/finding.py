"""A finding of the doctor: its severity, what is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "error"]
"""error: it will not work, or not as asked; warn: it works, worse than it could."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    check: str
    """What was looked at, one of a few short names."""
    message: str
    remedy: str = ""
    """What to do about it; empty where there is nothing to do."""


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding("ok", check, message)


def warn(check: str, message: str, remedy: str) -> Finding:
    """It works, worse than it could."""
    return Finding("warn", check, message, remedy)


def error(check: str, message: str, remedy: str) -> Finding:
    """It will not work, or not as asked."""
    return Finding("error", check, message, remedy)
