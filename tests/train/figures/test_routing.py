"""Figures of routing, on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.figures.routing import area, cost_at, routing_report

QUALITY = np.array([[0.0, 1.0], [1.0, 0.8], [1.0, 0.9], [0.2, 0.7]])


def data(quality: np.ndarray) -> Dataset:
    count = len(quality)
    return Dataset(
        prompts=tuple(Prompt(f"p{n}", input_tokens=1000) for n in range(count)),
        prompt_ids=tuple(map(str, range(count))),
        tasks=("",) * count,
        models=("cheap", "dear"),
        quality=quality,
        output_tokens=np.full_like(quality, np.nan),
        rows=quality.size,
        sha256="",
    )


def test_a_perfect_prediction_routes_like_the_oracle() -> None:
    report = routing_report(data(QUALITY), QUALITY, {"cheap": 1.0, "dear": 10.0})
    assert report["best_single"] == "dear"
    assert report["best_single_quality"] == pytest.approx(0.85)
    assert report["argmax_quality"] == report["oracle_quality"] == pytest.approx(0.925)
    assert report["cost_ratio_at_best_single_quality"] < 1.0


def test_predicting_each_models_mean_routes_like_the_best_single_model() -> None:
    report = routing_report(data(QUALITY), np.tile(QUALITY.mean(axis=0), (4, 1)), None)
    assert report["gain"] == 0.0
    assert report["cost_ratio_at_best_single_quality"] is None


@pytest.mark.filterwarnings("error")
def test_of_models_that_cost_nothing_there_is_no_share_of_the_cost() -> None:
    report = routing_report(data(QUALITY), QUALITY, {"cheap": 0.0, "dear": 0.0})
    assert report["cost_ratio_at_best_single_quality"] is None


def test_prompts_without_a_label_of_every_model_are_left_out() -> None:
    quality = QUALITY.copy()
    quality[0, 0] = np.nan
    assert routing_report(data(quality), QUALITY, None)["prompts"] == 3


def test_between_two_points_of_the_curve_requests_are_shared() -> None:
    assert cost_at(np.array([0.4, 0.8]), np.array([1.0, 3.0]), 0.6) == pytest.approx(2.0)
    assert np.isnan(cost_at(np.array([0.4, 0.8]), np.array([1.0, 3.0]), 0.9))
    assert cost_at(np.array([0.4, 0.8]), np.array([1.0, 3.0]), 0.1) == 1.0


def test_a_dearer_but_worse_point_does_not_lower_the_curve() -> None:
    quality, cost = np.array([0.5, 0.3]), np.array([1.0, 2.0])
    assert area(quality, cost, 1.0, 2.0) == pytest.approx(0.5)
