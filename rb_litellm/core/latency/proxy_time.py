"""The proxy's own time: what a client waits for before the server is asked, however quick the server is.

It has three parts: from the request's arrival at the proxy to the strategy (authentication, hooks, LiteLLM's
filters), the choice with what the request was held for, and from there to the call of the server (hooks and
transformations again). They are the worker's, whichever deployment is chosen, and are kept apart from what a
server's latency is learned from.

What was measured fades while nothing is: a strict limit that a slow moment of the proxy has made impossible
refuses all requests, so that none would ever show that the moment is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

Part = Literal["before", "choosing", "sending"]
PARTS: tuple[Part, ...] = get_args(Part)
COUNTED = 50
"""The mean is over about so many of the latest requests."""
LONGEST_S = 60.0
"""One request counts for no more than that."""
FADES_AFTER_S = 10.0
HALF_LIFE_S = 10.0
"""So long without a measurement means stay; then they halve, and so does what they count for."""


class ProxyTime:
    """Means of the parts in s, 0 for what was never measured; `clock` in s only advances."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mean_s: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self._counted: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self._measured_s: dict[Part, float] = dict.fromkeys(PARTS, clock())

    def measured(self, part: Part, seconds: float) -> None:
        """A part of one request's time; what is negative or no number is left out."""
        if seconds < 0.0 or seconds != seconds:
            return
        left = self._left(part)
        mean_s, self._measured_s[part] = self._mean_s[part] * left, self._clock()
        self._counted[part] = counted = min(self._counted[part] * left + 1.0, COUNTED)
        self._mean_s[part] = mean_s + (min(seconds, LONGEST_S) - mean_s) / counted

    def expected_s(self, part: Part) -> float:
        """What the part will probably take."""
        return self._mean_s[part] * self._left(part)

    def expected_for(self, before_s: float | None, again: bool) -> float:
        """What a request waits for in the proxy, but for the choice.

        `before_s` had passed when it came to the strategy, None without a proxy. Where it is sent `again`,
        attempts that failed are in it, which are not the proxy's time.
        """
        if before_s is None:
            before_s = 0.0
        elif again:
            before_s = self.expected_s("before")
        return before_s + self.expected_s("sending")

    @property
    def shown(self) -> dict[str, float]:
        """All parts, to show to people."""
        return {part: round(self.expected_s(part), 5) for part in PARTS}

    def _left(self, part: Part) -> float:
        """The share that has not faded."""
        unseen_s = self._clock() - self._measured_s[part] - FADES_AFTER_S
        return 1.0 if unseen_s <= 0.0 else 0.5 ** (unseen_s / HALF_LIFE_S)
