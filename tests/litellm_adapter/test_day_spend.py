"""What a day has cost, over all workers: nothing is counted twice, and nothing is lost with a worker."""

from __future__ import annotations

import asyncio
from threading import RLock

import pytest

from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.shared.exchange.daily_budget import FileBudget
from rb_litellm.litellm_adapter.shared.exchange.day_spend import DaySpend

DAY = 86_400.0


class Tally:
    """As Redis does it: of each worker the last sum that it told."""

    def __init__(self) -> None:
        self.sums: dict[str, dict[str, float]] = {}
        self.fails = False

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        self.sums.setdefault(name, {})[origin] = amount
        if self.fails:
            raise TimeoutError
        return sum(self.sums[name].values())


def spend(worker: DaySpend, usd: float, call: str, owner: str = "key one") -> None:
    worker.sent(owner, call, 0)
    outcome = Outcome("d", "success", None, 1, 0.0, 0.0, 1.0, cost_usd=usd, call_id=call)
    worker.finished(outcome)
    worker.finished(outcome)


def exchange(tally: Tally, **workers: DaySpend) -> None:
    for name, worker in workers.items():
        asyncio.run(worker.sums.exchange(tally, name))


def test_workers_know_what_all_have_spent_and_a_timeout_counts_nothing_twice():
    tally, one, other = Tally(), DaySpend(RLock(), lambda: 0.0), DaySpend(RLock(), lambda: 0.0)
    assert other.spent_usd("key one") == 0.0
    spend(one, 2.0, "a")
    tally.fails = True
    with pytest.raises(TimeoutError):
        exchange(tally, one=one)
    tally.fails = False
    spend(one, 1.0, "b")
    spend(other, 4.0, "c")
    exchange(tally, one=one, other=other)
    one.spent_usd("key one")
    exchange(tally, one=one)
    assert one.spent_usd("key one") == other.spent_usd("key one") == pytest.approx(7.0)


def test_a_new_worker_starts_from_what_those_before_it_spent():
    tally, one, new = Tally(), DaySpend(RLock(), lambda: 0.0), DaySpend(RLock(), lambda: 0.0)
    spend(one, 2.0, "a")
    exchange(tally, one=one)
    new.spent_usd("key one")
    exchange(tally, new=new)
    assert new.spent_usd("key one") == 2.0


def test_a_new_day_starts_at_nothing():
    now = [0.0]
    worker = DaySpend(RLock(), lambda: now[0])
    spend(worker, 2.0, "a")
    now[0] = DAY
    assert worker.spent_usd("key one") == 0.0


def test_a_clock_that_is_set_back_finds_the_day_as_it_was_left():
    now = [100 * DAY]
    worker = DaySpend(RLock(), lambda: now[0])
    spend(worker, 2.0, "a")
    found = []
    for day in (101, 100, 99, 100):
        now[0] = day * DAY
        found.append(worker.spent_usd("key one"))
    assert found == [0.0, 2.0, 0.0, 2.0]


def test_days_that_were_left_are_bounded(monkeypatch):
    from rb_litellm.litellm_adapter.shared.exchange import fleet_sums as module

    monkeypatch.setattr(module, "MAX_OWNERS", 3)
    now = [0.0]
    worker = DaySpend(RLock(), lambda: now[0])
    for day in range(9):
        now[0] = day * DAY
        worker.spent_usd("key one")
    assert len(worker.sums._left) == 3


def test_a_judges_budget_in_a_file_is_no_second_one_when_the_clock_is_set_back(tmp_path):
    now = [100 * DAY]
    budget = FileBudget(tmp_path / "budget", 1.0, 10, lambda: now[0])
    assert asyncio.run(budget.reserve(1.0))
    reserved = []
    for day in (*range(101, 106), 100, 99, 100):
        now[0] = day * DAY
        reserved.append(asyncio.run(budget.reserve(0.5)))
    assert reserved == [True] * 5 + [False, True, False]


def test_who_was_dropped_and_comes_back_loses_nothing_that_was_told(monkeypatch):
    from rb_litellm.litellm_adapter.shared.exchange import fleet_sums as module

    monkeypatch.setattr(module, "MAX_OWNERS", 2)
    tally, worker = Tally(), DaySpend(RLock(), lambda: 0.0)
    spend(worker, 2.0, "a")
    exchange(tally, one=worker)
    for number in range(5):
        worker.spent_usd(f"key {number}")
    spend(worker, 1.0, "b")
    exchange(tally, one=worker)
    assert worker.spent_usd("key one") == 3.0


def test_attempts_of_nobody_and_without_cost_count_nothing():
    worker = DaySpend(RLock(), lambda: 0.0)
    worker.finished(Outcome("d", "success", None, 1, 0.0, 0.0, 1.0, cost_usd=1.0, call_id="x"))
    worker.sent("key one", "y", 0)
    worker.finished(Outcome("d", "failure", None, 1, 0.0, 0.0, 1.0, error="Timeout", call_id="y"))
    assert worker.spent_usd("key one") == 0.0
