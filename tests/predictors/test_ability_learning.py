"""Feedback corrects the default predictor's abilities, by model and kind of prompt, over all workers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core import shared_grades
from rb_litellm.core.grade_sums import Grades, GradeSum, sum_name
from rb_litellm.predictors import ability_learning
from rb_litellm.predictors.ability_learning import AbilityLearning, Gradable, corrected
from tests.memory_store import MemoryStore

KINDS = ("code", "chat")


def learning() -> AbilityLearning:
    made = AbilityLearning(KINDS)
    made.on = True
    return made


def answer(model: str = "small", kinds: tuple[float, float] = (1.0, 0.0), quality: float = 0.7) -> Gradable:
    return Gradable(model, kinds, quality)


def grade_often(worker: AbilityLearning, score: float, times: int = 50, **what: object) -> None:
    for number in range(times):
        worker.remember(f"{score}-{what}-{number}", answer(**what))  # type: ignore[arg-type]
        worker.grade(f"{score}-{what}-{number}", score)


async def exchange(store: MemoryStore, *workers: AbilityLearning) -> None:
    for worker in workers:
        told = worker.tell()
        worker.hear(told, await store.share_grades(told))


def test_grades_shift_that_model_at_that_kind_alone():
    worker = learning()
    grade_often(worker, 0.2)
    shifts = worker.shifts(["small", "large"])
    assert shifts is not None
    assert shifts[0, 0] < -0.5
    assert shifts[0, 1] == shifts[1, 0] == shifts[1, 1] == 0.0


def test_nothing_is_shifted_before_any_grade_or_while_it_is_off():
    worker = learning()
    assert worker.shifts(["small"]) is None
    worker.on = False
    grade_often(worker, 0.0)
    assert worker.shifts(["small"]) is None
    assert not worker.tell()


def test_a_prompt_that_may_be_of_two_kinds_tells_of_both_in_part():
    worker = learning()
    grade_often(worker, 0.0, kinds=(0.75, 0.25))
    sums = worker.tell().sums
    assert sums["code|small"].weight == pytest.approx(3 * sums["chat|small"].weight)


def test_a_later_grade_of_a_call_replaces_the_earlier_one():
    worker, other = learning(), learning()
    for one, scores in ((worker, (0.0, 1.0, 1.0)), (other, (1.0,))):
        one.remember("call", answer())
        for score in scores:
            one.grade("call", score)
    assert worker.tell().sums == other.tell().sums


def test_a_grade_of_a_second_answer_is_the_second_models():
    worker = learning()
    worker.remember("first", answer("small"))
    worker.remember("second", answer("large"))
    worker.same_answer("first", "second")
    worker.grade("first", 0.0)
    worker.grade("second", 0.0)  # One answer, graded again.
    assert {name: its["grades"] for name, its in worker.report().items()} == {sum_name("code", "large"): 1.0}


async def test_workers_add_their_grades_up():
    store, one, two, third = MemoryStore(), learning(), learning(), learning()
    grade_often(one, 0.2, 20)
    grade_often(two, 0.2, 20)
    await exchange(store, one, two, third, one)
    alone = learning()
    grade_often(alone, 0.2, 40)
    expected = alone.shifts(["small"])
    for worker in (one, two, third):
        assert worker.shifts(["small"]) == pytest.approx(expected, rel=1e-3)


async def test_a_grade_given_to_another_worker_finds_the_one_that_knows_the_call():
    store, knows, asked = MemoryStore(), learning(), learning()
    knows.remember("call", answer())
    asked.grade("call", 0.0)
    await exchange(store, asked, knows, knows, asked)
    shifts = asked.shifts(["small"])
    assert shifts is not None
    assert shifts[0, 0] < 0.0
    assert not (await store.share_grades(Grades())).unknown


async def test_an_exchange_that_fails_loses_nothing():
    store, worker = MemoryStore(), learning()
    grade_often(worker, 0.2)
    worker.tell()  # and the answer never comes
    grade_often(worker, 0.2)
    before = worker.shifts(["small"])
    await exchange(store, worker, worker)
    assert worker.shifts(["small"]) == pytest.approx(before)
    assert not worker.tell()
    (other,) = (await store.share_grades(Grades())).sums.values()
    assert other.weight == pytest.approx(100.0)


def test_what_others_tell_that_is_no_sum_is_left_out():
    worker = learning()
    worker.hear(Grades(), Grades({"code|small": GradeSum(5.0, 9.0, 1.0), "": GradeSum(0.0, 0.0, 0.0)}))
    assert worker.shifts(["small"]) is None


def test_a_comparison_moves_both_models_apart():
    worker = learning()
    for number in range(40):
        worker.remember(str(number), answer("small", quality=0.7))
        worker.compare(str(number), "large", 0.7, won=1.0)
    shifts = worker.shifts(["small", "large"])
    assert shifts is not None
    assert shifts[0, 0] == pytest.approx(-shifts[1, 0])
    assert shifts[1, 0] > 0.3


def test_calls_and_grades_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(ability_learning, "MAX_CALLS", 3)
    monkeypatch.setattr(shared_grades, "MAX_UNKNOWN", 2)
    worker = learning()
    for number in range(5):
        worker.remember(str(number), answer())
    for number in range(5):
        worker.grade(str(number), 1.0)
    assert worker.tell().sums["code|small"].weight == 3
    assert set(worker.tell().unknown) == {"0", "1"}


def test_a_long_name_keeps_its_beginning_and_stays_its_own():
    one, other = (sum_name("code", "m" * 500 + end) for end in "ab")
    assert one != other
    assert len(one) == len(other) == 128
    assert one.startswith("code|mmm")


qualities = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2)


@given(qualities, st.lists(st.floats(-1.5, 1.5), min_size=4, max_size=4), st.floats(0.0, 1.0))
def test_corrected_qualities_stay_qualities_and_keep_their_order_where_shifts_are_equal(told, moves, code):
    kinds = np.array([[code, 1.0 - code]])
    quality = np.array([told])
    moved = corrected(quality, kinds, np.array(moves).reshape(2, 2))
    assert ((moved >= 0.0) & (moved <= 1.0)).all()
    alike = corrected(quality, kinds, np.array([moves[:2], moves[:2]]))
    assert (np.sign(np.diff(alike)) * np.sign(np.diff(quality)) >= 0.0).all()


def test_a_model_that_nobody_graded_keeps_its_quality_to_the_bit():
    quality = np.array([[0.123456789, 1.0]])
    moved = corrected(quality, np.array([[1.0, 0.0]]), np.array([[0.0, 0.0], [-0.5, 0.0]]))
    assert moved[0, 0] == quality[0, 0]
    assert moved[0, 1] < 1.0
