"""The micro-batcher: a lone request waits for nobody; those that are ready together are decided together."""

import asyncio

import pytest

from rb_litellm.litellm_adapter.request.micro_batch import MAX_BATCH, MicroBatcher


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
    task = asyncio.ensure_future(MicroBatcher(clerk).submit("a"))
    assert await turns(task) <= 4
    assert task.result() == "answer to a"
    assert clerk.batches == [["a"]]


async def test_requests_that_are_ready_together_are_decided_together_and_each_gets_its_own_answer():
    clerk = Clerk()
    batcher = MicroBatcher(clerk)
    answers = await asyncio.gather(*(batcher.submit(i) for i in range(10)))
    assert clerk.batches == [list(range(10))]
    assert answers == [f"answer to {i}" for i in range(10)]


async def test_what_arrives_while_a_batch_is_decided_is_the_next_batch():
    late = []

    class Busy(Clerk):
        def __call__(self, requests):
            if not self.batches:
                late.extend(asyncio.ensure_future(batcher.submit(t)) for t in ("b", "c"))
            return super().__call__(requests)

    clerk = Busy()
    batcher = MicroBatcher(clerk)
    await batcher.submit("a")
    await asyncio.gather(*late)
    assert clerk.batches == [["a"], ["b", "c"]]


async def test_a_batch_is_bounded():
    clerk = Clerk()
    batcher = MicroBatcher(clerk)
    await asyncio.gather(*(batcher.submit(i) for i in range(2 * MAX_BATCH + 5)))
    assert [len(batch) for batch in clerk.batches] == [MAX_BATCH, MAX_BATCH, 5]


async def test_a_client_that_has_left_is_not_decided():
    clerk = Clerk()
    batcher = MicroBatcher(clerk)
    leaving, staying = (asyncio.ensure_future(batcher.submit(t)) for t in ("leaves", "stays"))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert clerk.batches == [["stays"]]
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_when_all_have_left_nothing_is_decided_and_the_batcher_stays_open():
    clerk = Clerk()
    batcher = MicroBatcher(clerk)
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

    batcher = MicroBatcher(decide)
    results = await asyncio.gather(*(batcher.submit(t) for t in ("bad", "b")), return_exceptions=True)
    assert [type(r) for r in results] == [RuntimeError, RuntimeError]
    assert await batcher.submit("good") == "good"


def test_the_batcher_moves_with_the_event_loop():
    clerk = Clerk()
    batcher = MicroBatcher(clerk)
    for _ in range(2):
        assert asyncio.run(batcher.submit("a")) == "answer to a"


def test_requests_left_behind_by_a_loop_that_ended_do_not_keep_others_from_being_batched():
    clerk = Clerk()
    batcher = MicroBatcher(clerk)

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
