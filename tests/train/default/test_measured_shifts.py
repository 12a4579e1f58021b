"""Answers that say of single models what no published figure does, and those that are not believed."""

import numpy as np
import pytest

from rb_litellm.predictors.default.table import entries
from rb_litellm.train.default.measured_shifts import measured_shifts, published_spread
from rb_litellm.train.default.population import table_population

MODELS = ("qwen2.5-7b-instruct", "gemma-2-9b-it", "llama-3.1-8b-instruct", "mistral-7b-instruct-v0.3")
PROMPTS = 400


def answers(shifts, prompts=PROMPTS):
    """Quality (P, M) of models that are better by `shifts` (M,) than even odds."""
    right = 1.0 / (1.0 + np.exp(-np.asarray(shifts)))
    return (np.random.default_rng(0).random((prompts, len(right))) < right).astype(float)


def found(quality, models=MODELS, task="gsm8k"):
    names, shifts = measured_shifts(
        models, table_population(), np.zeros(quality.shape), quality, [task], np.ones((len(quality), 1))
    )
    return dict(zip(names, shifts[:, 0], strict=True))


def test_a_model_that_does_better_than_its_name_says_is_moved_up():
    told = found(answers([0.6, 0.0, 0.0, -0.3]))
    assert told["qwen2.5-7b-instruct"] == pytest.approx(0.6, abs=0.25)
    assert told["mistral-7b-instruct-v0.3"] == pytest.approx(-0.3, abs=0.25)


def test_answers_that_contradict_what_is_published_are_left_out():
    told = found(answers([-4.0, 0.1, 0.1, 0.1]))
    assert told["qwen2.5-7b-instruct"] == 0.0
    assert told["gemma-2-9b-it"] != 0.0


def test_a_task_that_was_harder_for_all_contradicts_nobody():
    assert all(shift < -1.0 for shift in found(answers([-2.0, -2.0, -2.0, -2.0])).values())


def test_verdicts_on_chat_and_a_handful_of_answers_say_nothing():
    better = answers([0.6, 0.6, 0.6, 0.6])
    assert not any(found(better, task="chat").values())
    assert not any(found(better[:10]).values())


def test_prompts_without_a_grade_count_for_nobody():
    quality = answers([0.5, 0.0, 0.0, 0.0])
    quality[100:, 0] = np.nan
    assert found(quality)["qwen2.5-7b-instruct"] == pytest.approx(0.5, abs=0.35)


def test_names_of_one_model_are_one_and_models_of_no_table_none():
    quality = answers([0.4, 0.4, 0.4])
    quality[200:, 0], quality[:200, 1] = np.nan, np.nan
    told = found(quality, ("gemma-2-9b-it", "google/gemma-2-9b-it", "house-of-mine"))
    assert [*told] == ["gemma-2-9b-it"]
    assert told["gemma-2-9b-it"] == pytest.approx(0.4, abs=0.25)


def test_published_figures_of_one_model_differ_by_less_than_models_do():
    scores = [entry.facts["mmlu"] for entry in entries() if "mmlu" in entry.facts]
    assert 0.2 < published_spread(table_population()) < np.std(scores)
