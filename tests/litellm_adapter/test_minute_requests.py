"""Requests of a minute, over all workers: a minute that begins does not make the last one forgotten."""

from __future__ import annotations

import asyncio
from threading import RLock

import pytest

from rb_litellm.litellm_adapter.shared.exchange.fleet_sums import FleetSums


class Tally:
    """As Redis does it: of each worker the last sum that it told."""

    def __init__(self) -> None:
        self.sums: dict[str, dict[str, float]] = {}

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        self.sums.setdefault(name, {})[origin] = amount
        return sum(self.sums[name].values())


def worker(now: list[float]) -> FleetSums:
    return FleetSums(RLock(), "requests", 60.0, lambda: now[0])


def ask(of: FleetSums, times: int) -> None:
    for _ in range(times):
        of.add("key one", 1.0)


def test_of_the_last_minute_counts_what_lies_within_sixty_seconds():
    now = [30.0]
    one = worker(now)
    ask(one, 40)
    counted = []
    for at_s in (59.0, 60.0, 75.0, 90.0, 119.0, 120.0):
        now[0] = at_s
        counted.append(one.recent("key one"))
    assert counted == pytest.approx([40.0, 40.0, 30.0, 20.0, 40.0 / 60.0, 0.0])


def test_a_steady_load_counts_the_same_at_every_moment():
    now = [0.0]
    one = worker(now)
    counted = []
    for second in range(300):
        now[0] = float(second)
        if second > 60:
            counted.append(one.recent("key one"))
        ask(one, 2)
    assert counted == pytest.approx([120.0] * len(counted))


def test_who_was_silent_for_a_minute_starts_at_nothing():
    now = [0.0]
    one = worker(now)
    ask(one, 40)
    now[0] = 125.0
    assert one.recent("key one") == 0.0


def test_all_workers_requests_count_in_each_and_in_the_minute_after_too():
    now = [10.0]
    one, other, tally = worker(now), worker(now), Tally()
    ask(one, 10)
    ask(other, 30)
    for _ in range(2):
        for name, of in (("one", one), ("other", other)):
            of.sum("key one")
            asyncio.run(of.exchange(tally, name))
    assert one.recent("key one") == other.recent("key one") == 40.0
    now[0] = 90.0
    assert one.recent("key one") == other.recent("key one") == 20.0
