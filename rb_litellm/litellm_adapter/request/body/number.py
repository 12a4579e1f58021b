"""Numbers as clients send them."""

from __future__ import annotations

import math


def number_of(value: object) -> float:
    """A number, also as a text, as some servers take it; NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf
