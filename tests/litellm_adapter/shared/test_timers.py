"""A chore that does not hang on traffic."""

import asyncio

from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask


async def ticks(ticker, done, count):
    ticker.ensure_started()
    ticker.ensure_started()
    while len(done) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def test_it_ticks_in_a_loop_and_again_in_the_next_one():
    done = []
    ticker = PeriodicTask(0.001, lambda: done.append(1))
    asyncio.run(ticks(ticker, done, 3))
    asyncio.run(ticks(ticker, done, 6))


def test_without_a_loop_it_waits_for_one():
    done = []
    ticker = PeriodicTask(0.001, lambda: done.append(1))
    ticker.ensure_started()
    assert done == []
    asyncio.run(ticks(ticker, done, 1))
