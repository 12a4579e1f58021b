"""Grades of judged answers find the worker that had them judged."""

from __future__ import annotations

from threading import RLock

import pytest

from rb_litellm.core.cascade.judge_rates import JudgeRates
from rb_litellm.core.grade_sums import OF_JUDGES
from rb_litellm.litellm_adapter.shared.exchange.judge_share import GuardedJudges
from tests.memory_store import MemoryStore


def judges() -> GuardedJudges:
    made = GuardedJudges(RLock())
    made.on = True
    return made


def rates_of(its: GuardedJudges) -> JudgeRates:
    return its.rates.of("judge", 0.9, 0.4)


async def exchange(store: MemoryStore, *workers: GuardedJudges) -> None:
    for worker in workers:
        told = worker.tell()
        worker.hear(told, await store.share_grades(told, OF_JUDGES))


async def test_a_grade_given_to_another_worker_counts_as_if_given_to_the_one_that_judged() -> None:
    store, judged, asked, alone = MemoryStore(), judges(), judges(), judges()
    for its in (judged, alone):
        its.rates.judged(rates_of(its), "call", 0.6, True)
        its.picks.picked(its.picks.of("judge"), "picked", 0.5, 0.7)
    for call in ("call", "picked"):
        asked.graded(call, 0.0)
        alone.graded(call, 0.0)
    await exchange(store, asked, judged, judged, asked)
    for its in (judged, asked):
        assert rates_of(its).rates() == pytest.approx(rates_of(alone).rates())
        assert its.picks.of("judge").share(0.5) == pytest.approx(alone.picks.of("judge").share(0.5))
    assert not asked.tell().unknown
    assert not judged.tell().unknown


async def test_a_grade_counts_once_however_many_workers_are_told_of_it() -> None:
    store, judged, asked = MemoryStore(), judges(), judges()
    judged.rates.judged(rates_of(judged), "call", 0.6, True)
    judged.graded("call", 0.0)
    after = rates_of(judged).rates()
    asked.graded("call", 0.0)
    await exchange(store, asked, judged, asked, judged)
    assert rates_of(judged).rates() == pytest.approx(after)


def test_nothing_is_kept_where_nobody_judges() -> None:
    its = GuardedJudges(RLock())
    its.graded("call", 1.0)
    assert not its.tell()
