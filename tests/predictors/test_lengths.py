"""What is expected of an answer's length when the client limits it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.types import ModelPredictions, Prompt
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.predictors.trained.model import LEVELS, mean_below, mean_of_quantiles

lengths = st.floats(1.0, 1e5)
quantiles = st.lists(lengths, min_size=len(LEVELS), max_size=len(LEVELS)).map(lambda q: np.array(sorted(q)))
factors = st.floats(0.5, 2.0)


def below(at: np.ndarray, mean: float, cap: float) -> float:
    return float(mean_below(at[None], np.array([mean]), np.array([cap]))[0])


@given(quantiles, factors, lengths, lengths)
def test_a_higher_limit_never_shortens_and_nothing_exceeds_limit_or_mean(
    at: np.ndarray, factor: float, one: float, other: float
) -> None:
    mean = float(mean_of_quantiles(at)) * factor
    low, high = sorted((one, other))
    under_low, under_high = below(at, mean, low), below(at, mean, high)
    assert 0.0 < under_low <= under_high * (1 + 1e-9)
    assert under_low <= min(low, mean)
    # One more token allowed is at most one more token told.
    assert under_high - under_low <= (high - low) + 1e-6 * high


@given(quantiles, factors)
def test_a_limit_that_nobody_reaches_changes_nothing(at: np.ndarray, factor: float) -> None:
    mean = float(mean_of_quantiles(at)) * factor
    assert below(at, mean, np.inf) == pytest.approx(mean)
    assert below(at, mean, float(at[-1]) * factor * 1.001) == pytest.approx(mean)


@given(quantiles)
def test_a_limit_below_all_answers_is_reached_by_all(at: np.ndarray) -> None:
    cap = float(at[0]) / 2
    assert below(at, float(mean_of_quantiles(at)), cap) == pytest.approx(cap)


def test_it_is_the_mean_of_the_capped_answers() -> None:
    answers = np.random.default_rng(0).uniform(100.0, 1000.0, 200_000)
    at = np.quantile(answers, LEVELS)
    for cap in (300.0, 550.0, 800.0):
        true = np.minimum(answers, cap).mean()
        assert below(at, float(answers.mean()), cap) == pytest.approx(true, rel=0.03)
        assert below(at, float(answers.mean()), cap) < min(float(answers.mean()), cap)


@given(st.lists(st.none() | st.integers(1, 100_000), min_size=1, max_size=5), st.floats(1.0, 1e5))
def test_quantiles_of_a_limited_answer_never_decrease_and_hold_the_mean(
    limits: Sequence[int | None], mean: float
) -> None:
    prompts = [Prompt("hello", max_tokens=limit) for limit in limits]
    got: ModelPredictions = PredictionSource().predict(prompts, [ModelInfo("m", "m", 0.5, mean)])
    assert got.length_quantiles is not None
    assert np.isfinite(got.output_tokens).all()
    assert (np.diff(got.length_quantiles, axis=2) >= 0.0).all()
    for row, limit in enumerate(limits):
        if limit is not None:
            assert got.length_quantiles[row].max() <= limit
            assert got.output_tokens[row, 0] <= limit
