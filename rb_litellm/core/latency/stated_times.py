"""How long a server says it took for an answer, against what was measured of it.

llama.cpp's server tells with an answer how long it read the prompt and how long it wrote. What was measured
beyond that is the wait in its queue, and what the network, the proxy and the step that is under way take of
every request. The latter is learned from requests that met nobody, as a moving average by server. So what a
request waited is known without a belief about slots, and TTFT and pace of an answer in one piece are told
apart.
"""

from __future__ import annotations

from typing import NamedTuple

from rb_litellm.core.types import Outcome

MAX_SERVERS = 4_096
"""Servers of which more is kept than what an outcome says: the first ones."""
_BEYOND_S = 0.02
"""What a request takes beyond what its server states, until it was measured."""
_GAIN = 0.2
_OF_NOTE, _OF_NOTE_S = 0.25, 0.05
"""A wait is told from chance by this share of what is stated, and so many s."""


class Parts(NamedTuple):
    """Of what was measured of a request, to its first token or to the end of an answer in one piece."""

    service_s: float
    wait_s: float
    """Before it; 0 where it does not stand out."""


class StatedTimes:
    """Of servers by number. Not thread-safe."""

    def __init__(self) -> None:
        self._beyond_s: dict[int, float] = {}
        self._tells: set[int] = set()

    def tells(self, server: int) -> bool:
        """Whether its last stream stated its times."""
        return server in self._tells

    def parts(self, server: int, outcome: Outcome) -> Parts | None:
        """The two parts of what was measured of the request; None where the server states nothing."""
        stated_s, measured_s = _stated_s(outcome), outcome.measured_s
        if stated_s is None or not measured_s:
            return None
        service_s = stated_s + self._beyond_s.get(server, _BEYOND_S)
        wait_s = measured_s - service_s
        if wait_s <= max(_OF_NOTE * service_s, _OF_NOTE_S):
            return Parts(measured_s, 0.0)
        return Parts(service_s, wait_s)

    def ended(self, server: int, outcome: Outcome) -> None:
        """A request is over."""
        stated_s, measured_s = _stated_s(outcome), outcome.measured_s
        if not outcome.in_one_piece and not outcome.cut and outcome.error is None:
            self._tells.discard(server)
            if stated_s is not None and len(self._tells) < MAX_SERVERS:
                self._tells.add(server)
        if stated_s is None or not measured_s or outcome.in_flight:
            return
        if (before_s := self._beyond_s.get(server)) is None:
            if len(self._beyond_s) >= MAX_SERVERS:
                return
            before_s, gain = _BEYOND_S, 1.0
        else:
            gain = _GAIN
        # One that stalled is no habit.
        beyond_s = min(max(measured_s - stated_s, 0.0), 2.0 * before_s + _BEYOND_S)
        self._beyond_s[server] = before_s + gain * (beyond_s - before_s)

    def forget(self, server: int) -> None:
        """Nobody is on this server any more."""
        self._beyond_s.pop(server, None)
        self._tells.discard(server)


def parted(outcome: Outcome) -> Outcome:
    """An answer in one piece as if it had been a stream, where its server states the times."""
    stated = outcome.stated
    if not outcome.in_one_piece or stated is None or outcome.output_tokens is None:
        return outcome
    steps = outcome.output_tokens - 1
    return outcome._replace(
        ttft_s=max(outcome.open_s - stated.answer_s, stated.prompt_s),
        tpot_s=stated.answer_s / steps if steps > 0 else None,
        in_one_piece=False,
    )


def _stated_s(outcome: Outcome) -> float | None:
    if (stated := outcome.stated) is None:
        return None
    return stated.prompt_s + stated.answer_s if outcome.in_one_piece else stated.prompt_s
