"""Requests held in a worker: they are tried in order, one at a time, and whatever happens they leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.litellm_adapter.request.waiting.holding import HoldEnded, Holding, Place

BUSY = Refusal("load", cast(Any, None), {"wait": 1.0}, 1.0)
HOPELESS = Refusal("slo", cast(Any, None), {"e2e": 1.0}, None)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Has room for so many more."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.placed: list[str] = []
        self.tried: list[str] = []

    def attempt(self, name: str) -> Callable[[float], Awaitable[str | Refusal]]:
        async def attempt(waited_s: float) -> str | Refusal:
            self.tried.append(name)
            await asyncio.sleep(0)
            if not self.room:
                return BUSY
            self.room -= 1
            self.placed.append(name)
            return name

        return attempt


def place(
    owner: str = "key",
    patience_s: float = 10.0,
    most: int = 10,
    candidates: str = "ab",
    limited: bool = False,
) -> Place:
    return Place("auto", limited, owner, 0, 100.0, patience_s, frozenset(candidates), most)


class Bench:
    def __init__(self) -> None:
        self.clock, self.server = Clock(), Server()
        self.errors: list[Exception] = []
        self.told: list[str] = []
        self.holding = Holding(self.clock, lambda what, error: self.errors.append(error))

    async def hold(self, name: str, **places: Any) -> asyncio.Task[str]:
        waiting = self.holding.wait(place(**places), self.server.attempt(name), self.told.append)
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0)
        return task

    def empty(self) -> bool:
        return not len(self.holding) and not self.holding.awaited("auto")

    def ends(self) -> list[str]:
        return [end for end, _ in self.holding.take()]


def run(body: Callable[[Bench], Awaitable[None]]) -> None:
    bench = Bench()
    asyncio.run(asyncio.wait_for(cast(Any, body(bench)), 20.0))
    assert bench.empty()
    assert bench.errors == []


def test_those_held_are_placed_in_order_as_room_comes():
    async def body(bench: Bench) -> None:
        tasks = [await bench.hold(name) for name in ("first", "second", "third")]
        bench.server.room = 2
        bench.holding.freed()
        assert await tasks[0] == "first"
        assert await tasks[1] == "second"
        assert not tasks[2].done()
        bench.server.room = 1
        bench.holding.freed()
        assert await tasks[2] == "third"
        assert bench.ends() == ["served"] * 3
        assert bench.told[0].startswith("position 1 of 1, expected unknown, waited 0.00 s")

    run(body)


def test_room_that_comes_with_time_alone_is_found():
    async def body(bench: Bench) -> None:
        task = await bench.hold("one")
        bench.server.room = 1
        assert await task == "one"

    run(body)


def test_one_whose_time_is_over_is_refused():
    async def body(bench: Bench) -> None:
        task = await bench.hold("late", patience_s=5.0)
        bench.clock.now = 5.0
        with pytest.raises(HoldEnded) as ended:
            await task
        assert ended.value.why == "late"
        assert bench.ends() == ["late"]

    run(body)


def test_a_client_that_leaves_leaves_nothing_behind():
    async def body(bench: Bench) -> None:
        first, second = await bench.hold("first"), await bench.hold("second")
        first.cancel()
        bench.server.room = 1
        bench.holding.freed()
        assert await second == "second"
        assert bench.server.placed == ["second"]
        assert bench.ends() == ["left", "served"]

    run(body)


def test_one_that_is_cancelled_in_its_turn_hands_it_on():
    async def body(bench: Bench) -> None:
        first, second = await bench.hold("first"), await bench.hold("second")
        bench.holding._wake()
        first.cancel()
        bench.server.room = 1
        assert await second == "second"

    run(body)


def test_at_the_bound_the_flood_gives_way_and_further_ones_of_it_find_no_place():
    async def body(bench: Bench) -> None:
        flood = [await bench.hold(str(n), owner="flood", most=3) for n in range(3)]
        with pytest.raises(HoldEnded) as full:
            await (await bench.hold("more", owner="flood", most=3))
        assert full.value.why == "full"
        quiet = await bench.hold("quiet", owner="quiet", most=3)
        with pytest.raises(HoldEnded) as displaced:
            await flood[-1]
        assert displaced.value.why == "displaced"
        bench.server.room = 3
        bench.holding.freed()
        await asyncio.gather(*flood[:2], quiet)

    run(body)


def test_those_like_one_that_was_refused_are_passed_by_and_others_are_tried():
    async def body(bench: Bench) -> None:
        tasks = [await bench.hold(name) for name in ("first", "alike")]
        tasks.append(await bench.hold("elsewhere", candidates="c"))
        bench.holding._wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.server.tried == ["first", "elsewhere"]
        bench.server.room = 3
        bench.holding.freed()
        await asyncio.gather(*tasks)

    run(body)


def test_whoever_waits_for_a_limit_of_its_own_is_neither_in_the_way_nor_left_out():
    async def body(bench: Bench) -> None:
        tasks = [await bench.hold(str(n), limited=True, candidates=str(n)) for n in range(6)]
        assert not bench.holding.awaited("auto")
        for _ in range(2):
            bench.holding._wake()
            for _ in range(40):
                await asyncio.sleep(0)
        assert set(bench.server.tried) == {"0", "1", "2", "3", "4", "5"}
        bench.server.room = 6
        await asyncio.gather(*tasks)

    run(body)


def test_one_that_time_does_not_help_any_more_is_refused_at_once():
    async def body(bench: Bench) -> None:
        async def hopeless(waited_s: float) -> str | Refusal:
            return HOPELESS

        with pytest.raises(HoldEnded):
            await bench.holding.wait(place(), hopeless, bench.told.append)
        assert bench.ends() == ["late"]

    run(body)


def test_an_error_of_one_is_its_own():
    async def body(bench: Bench) -> None:
        async def broken(waited_s: float) -> str | Refusal:
            raise ValueError("broken")

        first = asyncio.create_task(bench.holding.wait(place(), broken, bench.told.append))
        second = await bench.hold("second")
        bench.server.room = 1
        with pytest.raises(ValueError, match="broken"):
            await first
        assert await second == "second"
        assert bench.ends() == ["failed", "served"]

    run(body)


def test_a_closed_loop_leaves_nothing_behind():
    bench = Bench()

    async def left() -> None:
        await bench.hold("one")

    asyncio.run(left())

    async def body() -> None:
        bench.server.room = 1
        assert await (await bench.hold("two")) == "two"

    asyncio.run(body())
    assert bench.empty()
