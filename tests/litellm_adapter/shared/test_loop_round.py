"""Work of ours that can wait does not meet other work of ours in one round of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.litellm_adapter.request.waiting.micro_batch import MicroBatcher
from rb_litellm.litellm_adapter.shared.upkeep.loop_round import ENOUGH_S, PATIENCE, LoopRound


async def test_a_round_counts_what_was_taken_in_it_and_the_next_begins_anew():
    its = LoopRound()
    assert its.has_room
    its.spend(0.6 * ENOUGH_S)
    assert its.has_room
    its.spend(0.6 * ENOUGH_S)
    assert not its.has_room
    await asyncio.sleep(0)
    assert its.has_room
    assert its.spent_s == 0.0


async def test_what_is_called_is_timed_whatever_becomes_of_it():
    now = [0.0]
    its = LoopRound(lambda: now[0])

    def fails():
        now[0] += 2.0 * ENOUGH_S
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        its.during(fails)
    assert not its.has_room


def test_without_an_event_loop_there_is_no_round():
    its = LoopRound()
    its.spend(1.0)
    assert its.has_room


async def test_what_can_wait_begins_in_a_round_that_has_room():
    its = LoopRound()
    busy = 7

    def work():
        nonlocal busy
        if busy:
            busy -= 1
            its.spend(ENOUGH_S)
            asyncio.get_running_loop().call_soon(work)

    work()
    assert await Turns(loop_round=its).step(lambda: busy) == 0


async def test_what_work_leaves_to_the_next_round_finds_it_anew():
    its = LoopRound()
    room: list[bool] = []

    def work():
        room.append(its.has_room)
        if len(room) < 5:
            asyncio.get_running_loop().call_soon(its.during, work)
        its.spend(ENOUGH_S)

    its.during(work)
    for _ in range(5):
        await asyncio.sleep(0)
    assert room == [True] * 5


async def test_it_does_not_wait_for_good():
    its = LoopRound()
    rounds = 0

    def always():
        nonlocal rounds
        rounds += 1
        its.spend(ENOUGH_S)
        asyncio.get_running_loop().call_soon(always)

    always()
    assert await Turns(loop_round=its).step(lambda: rounds) <= PATIENCE + 2


async def test_fewer_requests_are_decided_in_a_round_that_had_other_work():
    async def first_batch(spent_s: float) -> int:
        its = LoopRound()
        its.spent_s = spent_s
        sizes: list[int] = []

        def decide(requests: list[int]) -> list[int]:
            sizes.append(len(requests))
            return requests

        batcher: MicroBatcher[int, int, int] = MicroBatcher(lambda one: one, decide, lambda: 0.0, its)
        assert await asyncio.gather(*(batcher.submit(n) for n in range(12))) == list(range(12))
        assert sum(sizes) == 12
        return sizes[0]

    assert await first_batch(ENOUGH_S) < await first_batch(0.0)
