"""How long work of ours held the event loop, without looking at a real clock."""

import asyncio

import pytest

from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import MAX_NOTED, LoopHolds


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def holds(clock):
    return LoopHolds(clock)


def test_a_chore_is_noted_with_its_time_also_where_it_fails(holds, clock):
    def fails():
        clock.passes(2.0)
        raise ValueError

    holds.during("chores", lambda: clock.passes(1.0))
    with pytest.raises(ValueError):  # noqa: PT011
        holds.during("chores", fails)
    assert holds.take() == [("chores", 1.0), ("chores", 2.0)]
    assert holds.take() == []


async def test_of_a_coroutine_the_longest_stretch_between_two_waits_counts(holds, clock):
    async def work():
        clock.passes(1.0)
        await asyncio.sleep(0)
        clock.passes(3.0)
        await asyncio.sleep(0)
        clock.passes(2.0)
        return "done"

    assert await holds.driven("exchange", work()) == "done"
    assert holds.take() == [("exchange", 3.0)]


async def test_time_that_it_waits_does_not_count(holds, clock):
    async def work():
        await asyncio.sleep(0)

    task = asyncio.create_task(holds.driven("exchange", work()))
    await asyncio.sleep(0)
    clock.passes(5.0)
    await task
    assert holds.take() == [("exchange", 0.0)]


async def test_a_cancellation_reaches_the_coroutine(holds):
    seen = []

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(holds.driven("exchange", work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_a_failure_is_the_callers(holds):
    async def work():
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await holds.driven("exchange", work())


def test_what_nobody_takes_is_bounded(holds):
    for _ in range(MAX_NOTED + 10):
        holds.during("decision", lambda: None)
    assert len(holds.take()) == MAX_NOTED
