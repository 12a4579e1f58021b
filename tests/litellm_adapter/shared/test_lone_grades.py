"""Grades of a worker that shares them with nobody."""

from __future__ import annotations

import pytest

from rb_litellm.core.grade_sums import HALF_LIFE_S
from rb_litellm.litellm_adapter.shared.exchange.lone_grades import LoneGrades
from rb_litellm.predictors.ability_learning import AbilityLearning, Gradable


class Wall:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def learning() -> AbilityLearning:
    made = AbilityLearning(("code", "chat"))
    made.on = True
    return made


def graded(learning: AbilityLearning, call_id: str) -> None:
    learning.remember(call_id, Gradable("small", (1.0, 0.0), 0.9))
    learning.grade(call_id, 0.0)


def test_grades_add_up_and_fade(learning: AbilityLearning) -> None:
    wall = Wall()
    alone = LoneGrades(learning, wall)
    graded(learning, "one")
    alone.settle()
    graded(learning, "two")
    alone.settle()
    assert learning.report()["code|small"]["grades"] == 2.0
    wall.now += HALF_LIFE_S
    alone.settle()
    assert learning.report()["code|small"]["grades"] == 1.0
    wall.now += 30 * HALF_LIFE_S
    alone.settle()
    assert learning.report() == {}


def test_a_grade_of_an_unknown_call_is_dropped(learning: AbilityLearning) -> None:
    learning.grade("nobody's", 1.0)
    LoneGrades(learning, Wall()).settle()
    assert not learning.tell().unknown


def test_nothing_is_done_while_it_is_off(learning: AbilityLearning) -> None:
    learning.on = False
    alone = LoneGrades(learning, Wall())
    graded(learning, "one")
    alone.settle()
    assert learning.report() == {}
