"""What a worker has learned of one deployment, in a form that another worker can start from."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

VERSION = 3
_BEFORE = 2
"""The version without `prefill_share`; it is read, too."""
MAX_BYTES = 512
"""Of one deployment; a longer one is not read."""


class LearnedTimes(NamedTuple):
    """Times in s at low load, how they grow, and how much is known of them."""

    tpot_s: float
    tpot_s_per_running: float
    ttft_s: float
    prefill_s_per_token: float
    ttft_s_per_running: float
    habit_tpot_s: float
    """What both are over half an hour: see `aging`."""
    habit_ttft_s: float
    slots: float
    """Requests that its server runs at once, by what was learned of it; 0 where nothing was."""
    prefill_share: float
    """Of the time of answers, the share in which prompts of others are prefilled."""
    measured: int
    seen_s: float
    """When it was last measured, on whatever clock the reader and the writer agree on."""

    def encoded(self) -> bytes:
        """As it travels: about 120 bytes."""
        return json.dumps([VERSION, *(float(f"{figure:.6g}") for figure in self[:-1]), self.seen_s]).encode()

    @classmethod
    def decoded(cls, payload: bytes) -> LearnedTimes | None:
        """Read it; None where it is none of this version, or holds what no time can be."""
        if len(payload) > MAX_BYTES:
            return None
        try:
            version, *figures = json.loads(payload)
            if version == _BEFORE:
                figures.insert(-2, 0.0)
            if version not in (VERSION, _BEFORE) or len(figures) != len(cls._fields):
                return None
            *times, measured, seen_s = map(float, figures)
        except (ValueError, TypeError):
            return None
        found = cls._make([*times, int(measured), seen_s])
        positive = (found.tpot_s, found.ttft_s, found.habit_tpot_s, found.habit_ttft_s)
        fine = all(0.0 < figure < 1e5 for figure in positive) and all(0.0 <= f < 1e5 for f in times)
        return found if fine and 0 < found.measured < 1e9 and math.isfinite(seen_s) else None
