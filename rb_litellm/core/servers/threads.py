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
from typing import NamedTuple

from rb_litellm.core.servers.affinity import AffinityRule

MAX_THREADS = 16_384
"""Threads kept per process, about 4 MB; the least recently used is forgotten."""


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


class Threads:
    """The last call of each thread, by name. Bounded; guard with the caller's lock."""

    def __init__(self, most: int = MAX_THREADS) -> None:
        self._most = most
        self._pins: OrderedDict[str, Pin] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pins)

    def sent(self, name: str, row: int, tokens: float, now: float) -> None:
        """Record that a call with so many tokens of prompt goes to the deployment at `row`."""
        self._pins[name] = Pin(row, tokens, now)
        self._pins.move_to_end(name)
        if len(self._pins) > self._most:
            self._pins.popitem(last=False)

    def pin(self, name: str, now: float, ttl_s: float) -> Pin | None:
        """Where the thread's cache is; None for an unknown thread, and after `ttl_s` without a call."""
        found = self._pins.get(name)
        return None if found is None or now - found.at_s > ttl_s else found
