"""What a prompt's length says of its steepness, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.predictor import curve
from rb_litellm.train.default.longer_prompts import level_by_words, steepness_by_words

MATHEMATICS, CHAT = KINDS.index("mathematics"), KINDS.index("chat")


class _World:
    """Prompts of one task on twelve models, of which the longer ones are steeper by a known factor."""

    def __init__(self, factor: float, prompts: int = 1_500) -> None:
        random = np.random.default_rng(0)
        self.longer = random.normal(0.0, 0.5, prompts)
        self.figures = np.stack([random.uniform(0.3, 0.9, prompts), np.full(prompts, 1.0)], axis=1)
        self.abilities = np.broadcast_to(np.linspace(-2.0, 2.0, 12), (prompts, 12)).copy()
        true = self.figures.copy()
        true[:, 1] *= np.exp(factor * self.longer)
        self.quality = (random.random((prompts, 12)) < curve(true, self.abilities)).astype(np.float64)
        self.one_hot = np.ones((prompts, 1))

    def found(self, kind: int = MATHEMATICS) -> float:
        (one,) = steepness_by_words(
            self.quality, self.figures, self.abilities, self.longer, self.one_hot, np.array([kind])
        )
        return float(one)


@pytest.mark.parametrize("factor", [-0.3, 0.0, 0.3])
def test_what_length_adds_is_found(factor: float) -> None:
    assert _World(factor).found() == pytest.approx(factor, abs=0.06)


def test_a_model_that_fails_all_prompts_alike_says_nothing() -> None:
    world = _World(0.3)
    before = world.found()
    world.quality[:, 11] = 0.0
    assert abs(world.found()) < abs(before) + 0.02


def test_few_answers_say_little() -> None:
    assert abs(_World(0.3, prompts=10).found()) < 0.3


def test_answers_that_are_missing_are_left_out() -> None:
    world = _World(0.3)
    world.quality[np.random.default_rng(1).random(world.quality.shape) < 0.5] = np.nan
    assert world.found() == pytest.approx(0.3, abs=0.08)
    world.quality[:] = np.nan
    assert world.found() == 0.0


def test_only_what_is_worked_out_in_steps_is_steeper_for_its_length() -> None:
    assert _World(0.3).found(CHAT) == 0.0


def test_a_longer_prompt_is_harder_by_what_was_seen() -> None:
    random = np.random.default_rng(0)
    words = random.normal(3.0, 0.5, 2_000).astype(np.float32)
    apart = -0.1 * (words - words.mean()) + random.normal(0.0, 0.1, 2_000)
    apart[::3] = np.nan
    (one,) = level_by_words(apart, words, np.ones((2_000, 1)), np.array([MATHEMATICS]))
    assert one == pytest.approx(-0.1, abs=0.01)
