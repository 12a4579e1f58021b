"""What is done between requests: soon, in order, in slices, all of it, and never without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from rb_litellm.litellm_adapter.runtime import Runtime
from rb_litellm.litellm_adapter.shared.upkeep import deferred
from rb_litellm.litellm_adapter.shared.upkeep.deferred import SLICE_S, DeferredActions

EACH_S = 1.001 * SLICE_S / 4
"""What each action takes on the clock of these tests, so four make a slice."""


class Worker:
    def __init__(self, within_s: float = 0.001) -> None:
        self.done: list[int] = []
        self.failures: list[Exception] = []
        self.now = 0.0
        self.later = DeferredActions(within_s, self.guarded, "learning", lambda: self.now)

    def guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  that of whichever action
            self.failures.append(error)

    def add(self, number: int) -> None:
        def act() -> None:
            self.now += EACH_S
            self.done.append(number)

        self.later.add(act)

    async def over(self) -> None:
        mark = self.later.marked()
        if mark is not None:
            await asyncio.wait_for(mark, 10.0)


def test_a_thread_without_an_event_loop_does_it_at_once():
    worker = Worker()
    worker.add(1)
    assert worker.done == [1]


async def test_an_event_loop_does_it_soon_and_in_order():
    worker = Worker()
    for number in range(5):
        worker.add(number)
    assert worker.done == []
    over = asyncio.Event()
    worker.later.add(over.set)
    await asyncio.wait_for(over.wait(), 10.0)
    assert worker.done == [0, 1, 2, 3, 4]


async def test_the_loop_goes_round_after_each_slice():
    worker, seen = Worker(), []
    for number in range(10):
        worker.add(number)
    over = asyncio.ensure_future(worker.over())
    while not over.done():
        seen.append(len(worker.done))
        await asyncio.sleep(0)
    assert sorted(set(seen)) == [0, 4, 8, 10]


async def test_what_takes_longer_than_a_slice_is_done_all_the_same():
    worker, order = Worker(), []

    def slow(name: str) -> None:
        worker.now += 10 * SLICE_S
        order.append(name)

    for name in ("a", "b", "c"):
        worker.later.add(lambda name=name: slow(name))
    await worker.over()
    assert order == ["a", "b", "c"]


async def test_who_cannot_wait_works_it_off():
    worker = Worker()
    worker.add(1)
    worker.later.work_off()
    assert worker.done == [1]


async def test_at_the_bound_each_further_one_has_the_oldest_done_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(deferred, "MAX_WAITING", 8)
    worker = Worker(within_s=60.0)
    for number in range(11):
        worker.add(number)
    assert worker.done == [0, 1, 2]
    await worker.over()
    assert worker.done == list(range(11))


async def test_what_fails_does_not_stop_the_rest():
    worker = Worker()
    worker.add(1)
    worker.later.add(lambda: worker.done.append(1 // 0))
    worker.add(2)
    await worker.over()
    assert worker.done == [1, 2]
    assert [type(error) for error in worker.failures] == [ZeroDivisionError]


async def test_a_worker_counts_and_logs_what_fails(caplog: pytest.LogCaptureFixture):
    runtime = Runtime(lambda: 0.0)
    later = DeferredActions(0.001, runtime.guarded, "learning")
    done: list[int] = []
    later.add(lambda: done.append(1 // 0))
    later.add(lambda: done.append(2))
    later.work_off()
    assert done == [2]
    assert runtime.counters.failures == {"bookkeeping:ZeroDivisionError": 1}
    assert "bookkeeping failed" in caplog.text


async def test_a_mark_is_reached_when_all_before_it_is_done_and_not_what_comes_after():
    worker = Worker(within_s=60.0)
    for number in range(6):
        worker.add(number)
    mark = worker.later.marked()
    assert mark is not None
    for number in range(6, 100):
        worker.add(number)
    await asyncio.wait_for(mark, 10.0)
    assert 6 <= len(worker.done) < 100
    await worker.over()
    assert worker.later.marked() is None


async def test_many_marks_make_no_more_than_one_slice_a_round():
    worker = Worker(within_s=60.0)
    for number in range(40):
        worker.add(number)
    marks = [worker.later.marked() for _ in range(10)]
    before = 0
    while not all(mark is not None and mark.done() for mark in marks):
        await asyncio.sleep(0)
        assert len(worker.done) - before <= 4
        before = len(worker.done)


async def test_a_mark_that_nobody_waits_for_any_more_stops_nothing():
    worker = Worker(within_s=60.0)
    worker.add(1)
    mark = worker.later.marked()
    assert mark is not None
    mark.cancel()
    worker.add(2)
    await worker.over()
    assert worker.done == [1, 2]
    assert worker.failures == []


def test_what_a_closed_loop_left_is_done_with_the_next_action():
    worker = Worker()

    async def leave() -> None:
        worker.add(1)

    asyncio.run(leave())
    assert worker.done == []
    worker.add(2)
    assert worker.done == [1, 2]


def test_what_waits_in_another_loop_is_done_by_who_needs_it():
    worker = Worker(within_s=60.0)

    async def leave() -> None:
        worker.add(1)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    asyncio.run(worker.over())
    assert worker.done == [1]
    loop.close()
