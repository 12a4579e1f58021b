"""What closed attempts teach is learned in slices: all of it, in order, and as of when the answer came."""

from __future__ import annotations

import asyncio

import pytest

from rb_litellm.core.types import Outcome, Prediction
from rb_litellm.litellm_adapter.shared.upkeep import deferred
from rb_litellm.litellm_adapter.worker import Worker
from tests.telemetry.decisions import outcome

PREDICTED = Prediction(0.5, 50.0, 0.0, 0.2, 0.02, 1.2, 0.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Learning:
    """A worker of which the latency model and the usage of `tpm` are watched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.worker = Worker(self.clock)
        self.runtime = self.worker.runtime
        self.learned: list[Outcome] = []
        self.settled_at: list[float] = []
        self.broken = -1
        monkeypatch.setattr(self.runtime.balancer.beliefs, "learn", self.learn)
        used = self.runtime.balancer.capacity_use
        monkeypatch.setattr(used, "settle", lambda outcome, now: self.settled_at.append(now))

    def learn(self, outcome: Outcome) -> None:
        if outcome.attempt == self.broken:
            raise ArithmeticError("this one cannot be learned")
        self.learned.append(outcome)

    def finish(self, number: int) -> None:
        self.clock.now = float(number)
        closed = Outcome(
            f"server-{number % 3}",
            "success-hook",
            PREDICTED,
            10,
            0.0,
            0.0,
            open_s=1.0,
            output_tokens=20,
            at_s=self.clock.now,
            attempt=number,
        )
        self.runtime.guarded(lambda: self.runtime.finished(closed))


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> Learning:
    return Learning(monkeypatch)


async def test_all_is_learned_in_the_order_in_which_it_was_finished(learning, monkeypatch):
    monkeypatch.setattr(deferred, "MAX_WAITING", 32)
    for number in range(100):
        learning.finish(number)
        await asyncio.sleep(0)
    learning.worker.drain()
    assert [one.attempt for one in learning.learned] == list(range(100))


async def test_it_counts_for_when_the_answer_came(learning):
    learning.finish(5)
    learning.clock.now = 1_000.0
    assert learning.settled_at == []
    learning.worker.drain()
    assert learning.settled_at == [5.0]


async def test_what_cannot_be_learned_is_counted_and_logged_and_the_rest_is_learned(learning, caplog):
    learning.broken = 1
    for number in range(3):
        learning.finish(number)
    learning.worker.drain()
    assert [one.attempt for one in learning.learned] == [0, 2]
    assert learning.runtime.counters.failures == {"bookkeeping:ArithmeticError": 1}
    assert "bookkeeping failed" in caplog.text


def test_without_an_event_loop_it_is_learned_at_once(learning):
    learning.finish(0)
    assert len(learning.learned) == 1


def test_what_a_loop_left_is_learned_when_the_process_ends(learning):
    async def leave() -> None:
        learning.finish(0)

    asyncio.run(leave())
    assert learning.learned == []
    learning.worker.drain()
    assert len(learning.learned) == 1


async def test_a_call_is_waited_for_only_if_something_of_it_is_still_to_be_written(learning):
    publisher = learning.worker.accounting.publisher
    publisher.finished(outcome("c"))
    assert publisher.unwritten("another") is None
    written = publisher.unwritten("c")
    assert written is not None
    await asyncio.wait_for(written, 10.0)
    assert publisher.unwritten("c") is None
    assert publisher.unwritten() is None
