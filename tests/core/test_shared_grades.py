"""Sums of grades over workers: each counts once, whatever becomes of an exchange or of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.best_of.discernment import Discernment
from rb_litellm.core.cascade.judge_rates import JudgeRates
from rb_litellm.core.grade_sums import MAX_NAMES, OF_JUDGES, Grades, GradeSum
from rb_litellm.core.shared_grades import MAX_UNKNOWN, SharedGrades
from tests.memory_store import MemoryStore

WORKERS = 3
ONE = GradeSum(1.0, 0.75, 0.5)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def exchange(store: MemoryStore, *workers: SharedGrades) -> None:
    for worker in workers:
        told = worker.tell()
        worker.hear(told, await store.share_grades(told, OF_JUDGES))


@dataclass
class Fleet:
    """Workers with a store between them, and what had been told by those that are gone."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(lambda: 1e9))
    workers: list[SharedGrades] = field(
        default_factory=lambda: [SharedGrades(OF_JUDGES) for _ in range(WORKERS)]
    )
    seen: list[int] = field(default_factory=lambda: [0] * WORKERS)
    """By each worker that lives, and not known to have arrived."""
    arrived: int = 0

    async def do(self, what: str, who: int) -> None:
        worker = self.workers[who]
        if what == "sees":
            worker.add("judge", ONE)
            self.seen[who] += 1
        elif what == "exchanges":
            await exchange(self.store, worker)
        elif what == "loses its question":
            worker.tell()
        elif what == "loses the answer":
            await self.store.share_grades(worker.tell(), OF_JUDGES)
        elif what == "is stopped after an exchange":
            await exchange(self.store, worker, worker)
            self.arrived += self.seen[who]
            self.workers[who], self.seen[who] = SharedGrades(OF_JUDGES), 0


ACTIONS = ("sees", "exchanges", "loses its question", "loses the answer", "is stopped after an exchange")


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, WORKERS - 1)), max_size=40))
def test_what_any_worker_has_seen_counts_once_in_all_of_them(events: list[tuple[str, int]]) -> None:
    async def story() -> None:
        fleet = Fleet()
        for what, who in events:
            await fleet.do(what, who)
            # Nobody ever takes anything for more than was seen.
            assert all(
                one.of("judge").weight <= sum(fleet.seen) + fleet.arrived + 1e-9 for one in fleet.workers
            )
        await exchange(fleet.store, *fleet.workers, *fleet.workers, *fleet.workers)
        whole = ONE.times(sum(fleet.seen) + fleet.arrived)
        for worker in (*fleet.workers, fresh := SharedGrades(OF_JUDGES)):
            if worker is fresh:
                await exchange(fleet.store, fresh)
            assert worker.of("judge") == pytest.approx(whole)

    run(story())


async def test_what_waits_for_an_answer_is_told_again_as_it_was() -> None:
    worker = SharedGrades(OF_JUDGES)
    worker.add("judge", ONE)
    first = worker.tell()
    worker.add("judge", ONE)
    assert worker.tell() is first
    assert worker.of("judge") == pytest.approx(ONE.times(2.0))
    worker.hear(first, Grades(first.sums))
    after = worker.tell()
    assert after.sums == {"judge": ONE}
    assert (after.worker, after.number) == (first.worker, first.number + 1)


def test_of_a_sum_so_many_count_and_the_newest_displace_the_older_ones_evenly() -> None:
    worker = SharedGrades(OF_JUDGES)
    for grade in (0.0, 1.0):
        for _ in range(3_000):
            worker.add("judge", GradeSum(1.0, grade, 0.5))
    found = worker.of("judge")
    assert found.weight == pytest.approx(OF_JUDGES.most)
    assert found.scored / found.weight > 0.9


def test_what_a_worker_keeps_is_bounded() -> None:
    worker = SharedGrades(OF_JUDGES, lambda call, _: call.startswith("own"))
    for number in range(MAX_NAMES + 10):
        worker.add(str(number), ONE)
        worker.graded(str(number), 1.0)
        worker.hear(Grades(), Grades(unknown={f"own {number}": 1.0}))
    told = worker.tell()
    assert (len(told.sums), len(told.unknown), len(told.known)) == (MAX_NAMES, MAX_UNKNOWN, MAX_UNKNOWN)


# What it is for: judges


def verdicts(number: int) -> Iterable[tuple[bool, float | None]]:
    """Of a judge that accepts 95% of right and 10% of wrong answers, and grades of half of the accepted."""
    random = Random(0)
    for _ in range(number):
        right = random.random() < 0.6
        accepted = random.random() < (0.95 if right else 0.1)
        yield accepted, float(right) if accepted and random.random() < 0.5 else None


def tell(rates: JudgeRates, accepted: bool, grade: float | None) -> None:
    rates.judged(0.6, accepted)
    if grade is not None:
        rates.graded(grade)


async def test_workers_with_few_verdicts_each_know_what_one_with_all_of_them_would() -> None:
    store, sums = MemoryStore(lambda: 1e9), [SharedGrades(OF_JUDGES) for _ in range(8)]
    judges = [JudgeRates(0.7, 0.6, one, "judge") for one in sums]
    whole = JudgeRates(0.7, 0.6, name="judge")
    for number, one in enumerate(verdicts(400)):
        tell(whole, *one)
        tell(judges[number % len(judges)], *one)
    alone = judges[0].rates()
    await exchange(store, *sums, *sums)
    for judge in judges:
        assert judge.rates() == pytest.approx(whole.rates())
    right, wrong = whole.rates()
    assert right > alone[0] + 0.1
    assert wrong < alone[1] - 0.1


async def test_judges_of_whom_other_things_are_stated_are_learned_apart() -> None:
    store, sums = MemoryStore(lambda: 1e9), [SharedGrades(OF_JUDGES), SharedGrades(OF_JUDGES)]
    one, other = JudgeRates(0.7, 0.6, sums[0], "judge"), JudgeRates(0.9, 0.4, sums[1], "judge")
    for told in verdicts(50):
        tell(one, *told)
    await exchange(store, *sums, *sums)
    assert other.rates() == (0.9, 0.4)


async def test_workers_together_know_how_often_a_judge_picks_the_right_answer() -> None:
    store, sums = MemoryStore(lambda: 1e9), [SharedGrades(OF_JUDGES) for _ in range(8)]
    judges, whole, random = [Discernment(one, "judge") for one in sums], Discernment(name="judge"), Random(0)
    for number in range(800):
        one, any_right = 0.5, random.uniform(0.5, 0.9)
        grade = float(random.random() < one + 0.2 * (any_right - one))
        for its in (whole, judges[number % len(judges)]):
            its.graded(one, any_right, grade)
    await exchange(store, *sums, *sums)
    for judge in judges:
        assert judge.share(0.9) == pytest.approx(whole.share(0.9))
    assert whole.share(0.9) < 0.6
