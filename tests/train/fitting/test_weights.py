"""What is learned of a model is told only where it comes closer to the truth than the model's mean."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.train.fitting.weights import keep_closer

PROMPTS = 400
FAMILIAR = np.ones(PROMPTS, dtype=np.float32)


def blend(outputs: int) -> Blend:
    """No kinds; every output has the mean 0.5."""
    return Blend(
        qualities=outputs,
        offset=np.full(outputs, 0.5),
        scale=np.ones(outputs),
        log_prior=np.zeros(0),
        kind_deviation=np.zeros((0, outputs)),
        own_common=1.0,
        own_differences=1.0,
        own_lengths=1.0,
        worth=np.full(outputs, 0.8),
        familiar=0.5,
    )


def test_the_mean_remains_where_predictions_are_noise() -> None:
    random = np.random.default_rng(0)
    deviations = random.normal(0.0, 0.2, (PROMPTS, 2))
    labels = 0.5 + np.stack((deviations[:, 0], random.normal(0.0, 0.2, PROMPTS)), axis=1)
    kept = keep_closer(blend(2), deviations, FAMILIAR, labels, np.isfinite(labels))
    assert kept.worth.tolist() == [0.8, 0.0]
    assert kept.outputs(deviations, FAMILIAR)[:, 1] == pytest.approx(0.5)


def test_lengths_are_left_as_they_are() -> None:
    random = np.random.default_rng(0)
    deviations, labels = random.normal(0.0, 0.2, (2, PROMPTS, 2))
    kept = keep_closer(blend(2).but(qualities=1), deviations, FAMILIAR, labels + 0.5, np.isfinite(labels))
    assert kept.worth.tolist() == [0.0, 0.8]


def test_a_gain_within_its_own_error_is_none() -> None:
    # Closer by 0.3 for one prompt of two, further by nearly as much for the other.
    deviations = np.where(np.arange(PROMPTS) % 2, 0.3, -0.3)[:, None]
    labels = 0.5 + np.where(np.arange(PROMPTS) % 2, 0.3, 0.28)[:, None]
    kept = keep_closer(blend(1).but(worth=np.ones(1)), deviations, FAMILIAR, labels, np.isfinite(labels))
    assert kept.worth.tolist() == [0.0]


def test_labels_that_nobody_gave_judge_nothing() -> None:
    deviations = np.random.default_rng(0).normal(0.0, 0.2, (PROMPTS, 1))
    labels = 0.5 + deviations
    labels[PROMPTS // 2 :] = np.nan
    kept = keep_closer(blend(1), deviations, FAMILIAR, labels, np.isfinite(labels))
    assert kept.worth.tolist() == [0.8]


def test_judged_is_what_is_told_where_no_kind_is_certain() -> None:
    # Neither kind is likelier: only what both models have in common is told, and it misleads of one.
    random = np.random.default_rng(0)
    deviation = random.normal(0.0, 0.2, PROMPTS)
    raw = np.stack((np.zeros(PROMPTS), np.zeros(PROMPTS), 3.0 * deviation, -deviation), axis=1)
    labels = 0.5 + np.stack((deviation, -deviation), axis=1)
    known = np.isfinite(labels)
    whole = blend(2).but(
        log_prior=np.log([0.5, 0.5]), kind_deviation=np.zeros((2, 2)), worth=np.array([0.5, 1.0])
    )
    assert keep_closer(whole, raw, FAMILIAR, labels, known).worth.tolist() == [0.5, 1.0]
    assert keep_closer(whole.but(recognised=0.9), raw, FAMILIAR, labels, known).worth[1] == 0.0
