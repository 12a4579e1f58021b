"""The proxy's own time: what a client waits for before the server is asked, however quick the server is.

It has three parts: from the request's arrival at the proxy to the strategy (authentication, hooks, LiteLLM's
filters), the choice with what the request was held for, and from there to the call of the server (hooks and
transformations again). They are the worker's, whichever deployment is chosen, and are kept apart from what a
server's latency is learned from.
"""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["before", "choosing", "sending"]
PARTS: tuple[Part, ...] = get_args(Part)
COUNTED = 50
"""The mean is over about so many of the latest requests."""
LONGEST_S = 60.0
"""One request counts for no more than that."""


class ProxyTime:
    """Means of the parts in s, 0 for what was never measured."""

    def __init__(self) -> None:
        self._mean_s: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self._counted: dict[Part, int] = dict.fromkeys(PARTS, 0)

    def measured(self, part: Part, seconds: float) -> None:
        """A part of one request's time; what is negative or no number is left out."""
        if seconds < 0.0 or seconds != seconds:
            return
        self._counted[part] = counted = min(self._counted[part] + 1, COUNTED)
        self._mean_s[part] += (min(seconds, LONGEST_S) - self._mean_s[part]) / counted

    def expected_s(self, part: Part) -> float:
        """What the part will probably take."""
        return self._mean_s[part]

    def expected_for(self, before_s: float | None, again: bool) -> float:
        """What a request waits for in the proxy, but for the choice.

        `before_s` had passed when it came to the strategy, None without a proxy. Where it is sent `again`,
        attempts that failed are in it, which are not the proxy's time.
        """
        if before_s is None:
            before_s = 0.0
        elif again:
            before_s = self._mean_s["before"]
        return before_s + self._mean_s["sending"]

    @property
    def shown(self) -> dict[str, float]:
        """All parts, to show to people."""
        return {part: round(mean_s, 5) for part, mean_s in self._mean_s.items()}
