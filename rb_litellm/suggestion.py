"""The known name that a misspelt one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name, None where none is similar."""
    return next(iter(get_close_matches(name.lower(), sorted(known), 1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean NAME? ` for the middle of a message; empty where no name is similar."""
    meant = closest(name, known)
    return f"did you mean {meant}? " if meant is not None else ""
