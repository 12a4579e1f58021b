"""How often a key may ask for explanations, and how exactly it is told: an explanation shows the load of all.

Admins may ask as often as they like and are told everything.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

EXPLANATIONS_PER_MINUTE = 60
"""Of one key in one worker; fewer where the key's own rpm_limit is lower."""
MAX_KEYS = 10_000
"""Keys whose explanations are counted; the one that asked longest ago is forgotten."""
_MINUTE_S = 60.0
_TIMES = ("wait_s", "ttft_s", "tpot_s", "e2e_s")


class ExplainLimit:
    """A token bucket for each key."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str, rpm_limit: object = None) -> float:
        """Count one explanation of this key; 0 if it may have it, else the time until it may ask again."""
        most = float(EXPLANATIONS_PER_MINUTE)
        if isinstance(rpm_limit, (int, float)) and not isinstance(rpm_limit, bool):
            most = min(most, max(float(rpm_limit), 0.0))
        now = self._clock()
        left, since = self._left.pop(key, (most, now))
        left = min(left + (now - since) * most / _MINUTE_S, most)
        allowed = left >= 1.0
        self._left[key] = (left - 1.0 if allowed else left, now)
        if len(self._left) > MAX_KEYS:
            self._left.popitem(last=False)
        if allowed:
            return 0.0
        return _MINUTE_S if most <= 0.0 else (1.0 - left) * _MINUTE_S / most


def coarse(answer: dict[str, Any]) -> dict[str, Any]:
    """An explanation for those who are no admins: times to the power of two, scores to a tenth."""
    told = {name: value for name, value in answer.items() if name != "state_age_s"}
    told["candidates"] = [_candidate(one) for one in answer.get("candidates", ())]
    told["flips"] = [{name: one[name] for name in ("deployment", "model")} for one in answer.get("flips", ())]
    for name in ("cascade", "best_of"):
        if name in answer:
            its = answer[name]
            told[name] = {**its, "e2e_s": _power_of_two(its["e2e_s"]), "score": _tenth(its["score"])}
    if "refused" in answer:
        told["refused"] = {"reason": answer["refused"]["reason"]}
    return told


def _candidate(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        **{name: _power_of_two(one[name]) for name in _TIMES if name in one},
        "score": None if one["score"] is None else _tenth(one["score"]),
        "terms": {name: _tenth(value) for name, value in one["terms"].items()},
        "filters": {
            name: {"passed": found["passed"], "limit": found["limit"]}
            for name, found in one["filters"].items()
        },
    }


def _power_of_two(seconds: float) -> float:
    return 0.0 if seconds < 0.001 else round(2.0 ** round(math.log2(seconds)), 6)


def _tenth(value: float) -> float:
    # Not -0.0, which would tell a sign.
    return round(value, 1) + 0.0
