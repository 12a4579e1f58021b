"""The lengths of each level of effort are learned apart, against what was predicted of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core import level_lengths
from rb_litellm.core.level_lengths import MOST, LevelLengths
from rb_litellm.core.types import Level

tokens = st.floats(min_value=1e-3, max_value=1e7)


def learned(*answers, name="m@high"):
    lengths = LevelLengths()
    for predicted, written in answers:
        lengths.learn(Level(name, predicted), written)
    return lengths


def test_without_an_answer_nothing_is_corrected():
    assert LevelLengths().factors(["m@low", "m@high"]) is None


def test_levels_are_learned_apart():
    lengths = learned(*[(100.0, 300.0)] * 100)
    low, high = lengths.factors(["m@low", "m@high"])
    assert low == 1.0
    assert high == pytest.approx(3.0, rel=0.15)


def test_one_long_answer_moves_little():
    (factor,) = learned((100.0, 1000.0)).factors(["m@high"])
    assert factor == pytest.approx((1000 + 500) / (100 + 500))


def test_a_change_is_followed():
    lengths = learned(*[(100.0, 300.0)] * 1000, *[(100.0, 100.0)] * 1000)
    (factor,) = lengths.factors(["m@high"])
    assert factor == pytest.approx(1.0, abs=0.05)


@given(st.lists(st.tuples(tokens, tokens), max_size=30))
def test_a_factor_is_finite_and_bounded(answers):
    factors = learned(*answers).factors(["m@high"])
    assert factors is None or all(1 / MOST <= f <= MOST and math.isfinite(f) for f in factors)


def test_answers_without_tokens_teach_nothing():
    assert learned((100.0, 0.0), (0.0, 100.0)).factors(["m@high"]) is None


def test_the_level_that_was_longest_without_an_answer_is_forgotten(monkeypatch):
    monkeypatch.setattr(level_lengths, "MAX_LEVELS", 2)
    lengths = LevelLengths()
    for name in ("a@low", "b@low", "a@low", "c@low"):
        lengths.learn(Level(name, 100.0), 200.0)
    assert lengths.report().keys() == {"a@low", "c@low"}
