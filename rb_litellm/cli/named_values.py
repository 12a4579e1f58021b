"""Options of the form NAME=VALUE."""

from __future__ import annotations

from collections.abc import Sequence


def read_pairs(option: str, told: Sequence[str]) -> list[tuple[str, str]]:
    """Names with what is said of them.

    Raises:
        ValueError: one is not of that form.
    """
    pairs = []
    for text in told:
        # Deployments may be named by a URL with an = in its query; values hold none.
        name, mark, value = text.rpartition("=")
        if not mark or not name:
            raise ValueError(f"--{option} {text!r}: allowed is NAME=VALUE")
        pairs.append((name, value))
    return pairs


def read_numbers(option: str, told: Sequence[str], most: float, allowed: str) -> dict[str, float]:
    """Numbers from 0 to `most` by name; `allowed` says in words what they may be.

    Raises:
        ValueError: one is not of that form, or no such number.
    """
    return {name: _number(option, name, text, most, allowed) for name, text in read_pairs(option, told)}


def read_qualities(told: Sequence[str]) -> dict[str, float]:
    """Mean quality by model out of `--quality MODEL=Q`.

    Raises:
        ValueError: one is not of that form, or not within [0, 1].
    """
    return read_numbers("quality", told, 1.0, "a number from 0 to 1")


def _number(option: str, name: str, text: str, most: float, allowed: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise ValueError(f"--{option} {name}={text}: allowed is {allowed}")
    return value
