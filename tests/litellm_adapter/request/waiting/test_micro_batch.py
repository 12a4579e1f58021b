"""The micro-batcher: a lone request waits for nobody; those that are ready together are decided together."""

import asyncio
from contextvars import ContextVar

import pytest

from rb_litellm.litellm_adapter.request.waiting.micro_batch import HOLD_S, MAX_BATCH, MIN_BATCH, MicroBatcher


def batcher_of(decide, read=lambda request: request, clock=lambda: 0.0):
    return MicroBatcher(read, decide, clock)


class Clerk:
    """Answers every request with itself, and remembers which were decided together."""

    def __init__(self):
        self.batches = []

    def __call__(self, requests):
        self.batches.append(list(requests))
        return [f"answer to {request}" for request in requests]


async def turns(task):
    """How often the event loop had to come round until the task was done."""
    count = 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    return count


async def test_a_lone_request_is_decided_in_the_loops_next_free_moment():
    clerk = Clerk()
    task = asyncio.ensure_future(batcher_of(clerk).submit("a"))
    assert await turns(task) <= 4
    assert task.result() == "answer to a"
    assert clerk.batches == [["a"]]


async def test_requests_that_are_ready_together_are_decided_together_and_each_gets_its_own_answer():
    clerk = Clerk()
    batcher = batcher_of(clerk)
    answers = await asyncio.gather(*(batcher.submit(i) for i in range(4)))
    assert clerk.batches == [list(range(4))]
    assert answers == [f"answer to {i}" for i in range(4)]


async def test_what_arrives_while_a_batch_is_decided_is_the_next_batch():
    late = []

    class Busy(Clerk):
        def __call__(self, requests):
            if not self.batches:
                late.extend(asyncio.ensure_future(batcher.submit(t)) for t in ("b", "c"))
            return super().__call__(requests)

    clerk = Busy()
    batcher = batcher_of(clerk)
    await batcher.submit("a")
    await asyncio.gather(*late)
    assert clerk.batches == [["a"], ["b", "c"]]


async def test_a_batch_is_bounded():
    clerk = Clerk()
    batcher = batcher_of(clerk)
    await asyncio.gather(*(batcher.submit(i) for i in range(10 * MAX_BATCH)))
    assert max(len(batch) for batch in clerk.batches) == MAX_BATCH
    assert [one for batch in clerk.batches for one in batch] == list(range(10 * MAX_BATCH))


async def test_a_client_that_has_left_is_not_decided():
    clerk = Clerk()
    batcher = batcher_of(clerk)
    leaving, staying = (asyncio.ensure_future(batcher.submit(t)) for t in ("leaves", "stays"))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert clerk.batches == [["stays"]]
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_when_all_have_left_nothing_is_decided_and_the_batcher_stays_open():
    clerk = Clerk()
    batcher = batcher_of(clerk)
    leaving = asyncio.ensure_future(batcher.submit("leaves"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert clerk.batches == []
    assert await batcher.submit("a") == "answer to a"


async def test_a_failed_decision_is_told_to_each_of_its_batch_and_to_nobody_else():
    def decide(requests):
        if "bad" in requests:
            raise RuntimeError("no")
        return requests

    batcher = batcher_of(decide)
    results = await asyncio.gather(*(batcher.submit(t) for t in ("bad", "b")), return_exceptions=True)
    assert [type(r) for r in results] == [RuntimeError, RuntimeError]
    assert await batcher.submit("good") == "good"


def test_the_batcher_moves_with_the_event_loop():
    clerk = Clerk()
    batcher = batcher_of(clerk)
    for _ in range(2):
        assert asyncio.run(batcher.submit("a")) == "answer to a"


def test_requests_left_behind_by_a_loop_that_ended_do_not_keep_others_from_being_batched():
    clerk = Clerk()
    batcher = batcher_of(clerk)

    async def stop_the_loop_with_a_ticket_in_it():
        asyncio.get_running_loop().stop()
        await batcher.submit("left behind")

    async def two():
        return await asyncio.gather(batcher.submit("a"), batcher.submit("b"))

    loop = asyncio.new_event_loop()
    abandoned = loop.create_task(stop_the_loop_with_a_ticket_in_it())
    loop.run_forever()
    loop.close()
    assert not abandoned.done()
    asyncio.run(two())
    assert clerk.batches == [["a", "b"]]


async def test_batches_come_to_hold_the_loop_for_so_long_whatever_a_request_takes():
    class Slow(Clerk):
        now, each_s, fixed_s = 0.0, HOLD_S / 20, HOLD_S / 2

        def __call__(self, requests):
            self.now += self.fixed_s + self.each_s * len(requests)
            return super().__call__(requests)

    clerk = Slow()
    batcher = batcher_of(clerk, clock=lambda: clerk.now)

    async def after_many(count):
        for _ in range(20):
            clerk.batches.clear()
            await asyncio.gather(*(batcher.submit(i) for i in range(count)))
            await batcher.submit("a lone request, by which nothing is learned")
        return [len(batch) for batch in clerk.batches]

    # Ten hold it for exactly so long.
    assert set((await after_many(300))[:20]) <= {9, 10}
    clerk.each_s = 10 * HOLD_S
    assert await after_many(2 * MIN_BATCH) == [MIN_BATCH, MIN_BATCH, 1]
    clerk.each_s = clerk.fixed_s = 0.0
    assert await after_many(MAX_BATCH + 1) == [MAX_BATCH, 1, 1]


async def test_the_loop_goes_round_between_two_batches():
    clerk, seen = Clerk(), []
    batcher = batcher_of(clerk)
    both = asyncio.gather(*(batcher.submit(i) for i in range(2 * MAX_BATCH)))
    while not both.done():
        seen.append(len(clerk.batches))
        await asyncio.sleep(0)
    assert set(seen) >= set(range(len(clerk.batches)))


async def test_a_request_that_cannot_be_read_fails_alone():
    clerk = Clerk()
    batcher = batcher_of(clerk, read=lambda number: 6 // number)
    answers = await asyncio.gather(*(batcher.submit(i) for i in (1, 0, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [str, ZeroDivisionError, str]
    assert clerk.batches == [[6, 3]]


async def test_each_request_is_read_in_the_context_of_who_asked():
    its: ContextVar[int] = ContextVar("its")
    batcher: MicroBatcher[int, int, int] = MicroBatcher(lambda _: its.get(), lambda found: found)

    async def ask(number: int) -> int:
        its.set(number)
        return await batcher.submit(number)

    assert await asyncio.gather(*(ask(number) for number in range(10))) == list(range(10))
