"""Where the growing prefix of an agent's loop is cached.

An agent calls a model 50 to 150 times in one turn, each time with all that was said before and a little more.
Hashes of blocks (`prefix_memory`) find such a beginning by guess and up to a length. Of a thread that has a
name it is known: the deployment that was sent its last call has computed that call's whole prompt. So many
tokens of the next prompt count as cached there. A prompt that is shorter than the last one was cut or
summarised; of that nothing is known but its hashes.

A thread is pinned anew with each call, by whoever was chosen for it. So it stays where its cache is unless
going elsewhere is worth more than the cache, and after a failure it is pinned to the one that stepped in.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from rb_litellm.core.servers.affinity import AffinityRule
from rb_litellm.core.servers.loop_lengths import LoopLengths

MAX_THREADS = 16_384
"""Threads kept per process, about 4 MB; the least recently used is forgotten."""
_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0
"""Between an answer and the next call: before anything was seen, and the most that one counts for."""
_TURNS, _CALLS = 1.0, 16.0
"""Usual lengths of conversations and of loops with tools, before any has ended."""
_NEWEST = 0.02
"""Weight of the newest pause in their mean."""
_FORGOTTEN = 4
"""Threads that one call looks at for whether they have ended."""


def thread_rule(ttl_s: float) -> AffinityRule:
    """How a thread's cache counts: for all that it saves, in seconds and dollars, wherever the load is.

    The bounds of usual affinity are there because a cache is guessed and prefixes are shared by many
    requests, which would pile up on one server. A thread has one call at a time.
    """
    return AffinityRule(max_bonus_s=math.inf, imbalance=math.inf, ttl_s=ttl_s)


class Pin(NamedTuple):
    """Where a thread's last call was sent."""

    row: int
    tokens: float
    """Of its prompt."""
    at_s: float
    calls: float = 1.0
    """Of the thread so far, this one among them."""
    tools: bool = False
    """Whether it brings tools along."""
    takes_s: float = 0.0
    """What the call was expected to take."""


class ExpectedCalls(NamedTuple):
    """What is expected of a thread after the call that is to be placed."""

    pin: Pin | None
    """Where its last call was sent; None for its first."""
    further: float
    """What the calls count for that come after this one: see `loop_lengths`."""
    pause_s: float
    """Between an answer and the next call,"""
    between_s: float
    """and between one call and the next."""

    def share(self, takes_s: float) -> float:
        """Of the time, for how much of it the thread has a request in flight where its calls take so long."""
        return takes_s / max(takes_s + self.pause_s, 1e-9)


class Threads:
    """The last call of each thread, by name, and what threads before it teach. Bounded; guard with the
    caller's lock."""

    def __init__(self, most: int = MAX_THREADS) -> None:
        self._most = most
        self._pins: OrderedDict[str, Pin] = OrderedDict()
        self._lengths = {False: LoopLengths(_TURNS), True: LoopLengths(_CALLS)}
        self._pause_s = {False: _PAUSE_S, True: _PAUSE_S}

    def __len__(self) -> int:
        return len(self._pins)

    def sent(
        self,
        name: str,
        row: int,
        tokens: float,
        now: float,
        *,
        tools: bool = False,
        takes_s: float = 0.0,
        workers: int = 1,
    ) -> None:
        """Record that a call with so many tokens of prompt goes to the deployment at `row`.

        `workers` share the thread's calls evenly: this one sees one of so many.
        """
        last = self._pins.get(name)
        calls = float(workers)
        if last is not None:
            calls += last.calls
            self._lengths[tools].went_on(last.calls, workers)
            pause_s = max((now - last.at_s) / workers - last.takes_s, 0.0)
            self._pause_s[tools] += _NEWEST * (min(pause_s, _LONGEST_PAUSE_S) - self._pause_s[tools])
        self._pins[name] = Pin(row, tokens, now, calls, tools, takes_s)
        self._pins.move_to_end(name)
        if len(self._pins) > self._most:
            self._pins.popitem(last=False)

    def forget(self, rows: Collection[int]) -> None:
        """Those that had these rows are gone."""
        gone = set(rows)
        for name in [name for name, pin in self._pins.items() if pin.row in gone]:
            del self._pins[name]

    def pin(self, name: str, now: float, ttl_s: float) -> Pin | None:
        """Where the thread's cache is; None for an unknown thread, and after `ttl_s` without a call."""
        self._forget(now, ttl_s)
        found = self._pins.get(name)
        return None if found is None or now - found.at_s > ttl_s else found

    def expected(self, name: str, now: float, ttl_s: float, *, tools: bool) -> ExpectedCalls:
        """What is expected of the thread after the call that comes now."""
        pin, pause_s = self.pin(name, now, ttl_s), self._pause_s[tools]
        calls, between_s = (1.0, pause_s) if pin is None else (pin.calls + 1.0, pause_s + pin.takes_s)
        return ExpectedCalls(pin, self._lengths[tools].further(calls, between_s), pause_s, between_s)

    def _forget(self, now: float, ttl_s: float) -> None:
        """A few of the threads that came to their end; the rest of them at later calls."""
        for _ in range(_FORGOTTEN):
            oldest = next(iter(self._pins.values()), None)
            if oldest is None or now - oldest.at_s <= ttl_s:
                return
            self._pins.popitem(last=False)
            self._lengths[oldest.tools].ended(oldest.calls)
