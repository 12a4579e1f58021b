"""What public answers say of a prompt: how many models get it right, and how far ability decides who does."""

from hashlib import sha256

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default.level_and_steepness import prompt_figures, unit_of

PROMPTS = 600
MATHEMATICS = KINDS.index("mathematics")
UNIT = unit_of(MATHEMATICS)


def answers(abilities, steepness, seed=0):
    """Right and wrong answers of models of these abilities, and the true level of each prompt."""
    random = np.random.default_rng(seed)
    level = random.normal(0.0, 1.0, PROMPTS)
    odds = level[:, None] + steepness * UNIT * np.asarray(abilities)
    right = random.uniform(size=odds.shape) < 1.0 / (1.0 + np.exp(-odds))
    return right.astype(float), 1.0 / (1.0 + np.exp(-level))


def told(quality, abilities):
    """The figures of one task of mathematics."""
    prompts = tuple(Prompt(f"How much is {n} and {n + 1}?", 9) for n in range(PROMPTS))
    data = Dataset(
        prompt_ids=tuple(sha256(prompt.text.encode()).hexdigest()[:16] for prompt in prompts),
        prompts=prompts,
        tasks=("gsm8k",) * PROMPTS,
        models=tuple(f"m{n}" for n in range(len(abilities))),
        quality=quality,
        output_tokens=np.full(quality.shape, np.nan),
        rows=quality.size,
        sha256="",
    )
    by_kind = np.zeros((len(abilities), len(KINDS)))
    by_kind[:, MATHEMATICS] = abilities
    return prompt_figures(data, by_kind).values


SPREAD = np.linspace(-1.0, 1.0, 9)


@pytest.mark.parametrize("steepness", [0.5, 1.0])
def test_steepness_is_found_and_is_one_for_a_task(steepness):
    quality, _ = answers(SPREAD, steepness)
    figures = told(quality, SPREAD)
    assert np.unique(figures[:, 1]).size == 1
    # A line through shares is less steep than the curves of its prompts, for these have different levels.
    assert 0.65 * steepness < figures[0, 1] < 1.2 * steepness


def test_prompts_are_ordered_by_how_many_get_them_right():
    quality, level = answers(SPREAD, 1.0)
    figures = told(quality, SPREAD)
    assert np.corrcoef(figures[:, 0], level)[0, 1] > 0.7


def test_models_that_fail_a_task_by_the_form_of_their_answers_do_not_turn_it_round():
    quality, _ = answers(SPREAD, 1.0)
    quality[:, -1] = 0.0
    assert told(quality, SPREAD)[0, 1] > 0.3


def test_a_task_without_three_graded_models_tells_nothing():
    quality, _ = answers(SPREAD[:2], 1.0)
    assert np.isnan(told(quality, SPREAD[:2])).all()
