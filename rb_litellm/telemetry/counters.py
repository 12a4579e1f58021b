"""Counts of what this worker did and of the internal errors in it, kept whether or not anybody reads them."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

MAX_KINDS = 64
"""Kinds of failure counted by name; further ones count as `other`."""
LOG_EVERY_S = 10.0
_log = logging.getLogger("rb_litellm")


@dataclass(slots=True)
class Counters:
    """Monotonic counts since the process began."""

    decisions: int = 0
    expired: int = 0
    """Attempts that were closed by the end of their lease."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Requests refused by their own limits or by admission control, by reason."""
    failures: Counter[str] = field(default_factory=Counter)
    """Internal errors, by what failed; the requests were routed all the same."""
    _logged: dict[str, float] = field(default_factory=dict)

    def failure(self, what: str, error: BaseException, now: float) -> None:
        """Count an internal error, and log each kind at most once in LOG_EVERY_S; `now` in s."""
        kind = f"{what}:{type(error).__name__}"
        if kind not in self.failures and len(self.failures) >= MAX_KINDS:
            kind = "other"
        self.failures[kind] += 1
        if now - self._logged.get(kind, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged[kind] = now
            _log.error(
                "RouteBalance: %s failed (%s so far of this kind); the request is routed all the same",
                what,
                self.failures[kind],
                exc_info=error,
            )
