"""What is done between requests: soon, in order, all of it, and never without bound."""

import asyncio

from rb_litellm.litellm_adapter.shared.upkeep import deferred
from rb_litellm.litellm_adapter.shared.upkeep.deferred import DeferredActions


class Worker:
    def __init__(self) -> None:
        self.done: list[int] = []
        self.later = DeferredActions(0.001, lambda action: action(), "learning")

    def add(self, number: int) -> None:
        self.later.add(lambda: self.done.append(number))


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


async def test_who_cannot_wait_works_it_off():
    worker = Worker()
    worker.add(1)
    worker.later.work_off()
    assert worker.done == [1]


async def test_the_queue_is_bounded():
    worker = Worker()
    for number in range(deferred.MAX_WAITING + 1):
        worker.add(number)
    assert len(worker.done) == deferred.MAX_WAITING + 1


def test_what_a_closed_loop_left_is_done_with_the_next_action():
    worker = Worker()

    async def leave() -> None:
        worker.add(1)

    asyncio.run(leave())
    assert worker.done == []
    worker.add(2)
    assert worker.done == [1, 2]
