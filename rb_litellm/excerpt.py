"""A refused value as a message shows it."""

from __future__ import annotations

_MOST = 60
"""Characters."""


def excerpt(value: object) -> str:
    """All of a short value, the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."
