"""The flat forest gives XGBoost's figures, and whatever it cannot lay out is left to XGBoost."""

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.predictors.trained.forest import MAX_DEPTH, Forest, Unsupported, evaluator

FEATURES = 9


def boosted(outputs=3, rounds=8, seed=0, **settings):
    rng = np.random.default_rng(seed)
    features = np.round(rng.normal(size=(300, FEATURES)), 1).astype(np.float32)
    labels = features[:, :outputs] ** 2 + features[:, [5]] * features[:, [6]]
    given = {"objective": "reg:squarederror", "max_depth": 4, "nthread": 1, "seed": seed, **settings}
    return xgboost.train(given, xgboost.DMatrix(features, labels), rounds)


def close(a, b):
    return np.allclose(a, b, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    outputs=st.integers(1, 4),
    rounds=st.integers(1, 12),
    depth=st.integers(1, MAX_DEPTH),
    seed=st.integers(0, 99),
    rows=st.integers(1, 80),
)
def test_figures_are_xgboosts(outputs, rounds, depth, seed, rows):
    booster = boosted(outputs, rounds, seed, max_depth=depth)
    # Rounded like the data, so that many values lie exactly on a threshold.
    features = np.round(np.random.default_rng(seed + 1).normal(size=(rows, FEATURES)), 1).astype(np.float32)
    expected = booster.inplace_predict(features).reshape(rows, outputs)
    assert close(Forest(booster).predict(features), expected)


def test_values_on_a_threshold_go_where_xgboost_sends_them():
    booster = boosted()
    probes = Forest(booster).probes(FEATURES)
    assert close(Forest(booster).predict(probes), booster.inplace_predict(probes))


def test_a_tree_that_is_a_leaf_alone_counts():
    booster = boosted(gamma=1e9, base_score=0.0)
    features = np.zeros((2, FEATURES), dtype=np.float32)
    assert close(Forest(booster).predict(features), booster.inplace_predict(features))


@pytest.mark.parametrize(
    "settings",
    [
        {"multi_strategy": "multi_output_tree"},
        {"objective": "reg:pseudohubererror"},
        {"booster": "dart", "rate_drop": 0.5},
        {"max_depth": MAX_DEPTH + 3, "min_child_weight": 0, "lambda": 0, "eta": 1.0},
    ],
    ids=["several outputs per tree", "another objective", "weighted trees", "very deep trees"],
)
def test_what_cannot_be_laid_out_is_left_to_xgboost(settings):
    booster = boosted(**settings)
    with pytest.raises(Unsupported):
        Forest(booster)
    features = np.ones((4, FEATURES), dtype=np.float32)
    assert np.array_equal(evaluator(booster)(features), booster.inplace_predict(features))


def test_a_forest_that_disagrees_with_xgboost_is_not_used(monkeypatch):
    booster = boosted()
    monkeypatch.setattr(Forest, "predict", lambda self, rows: np.zeros((len(rows), 3), dtype=np.float32))
    features = np.ones((4, FEATURES), dtype=np.float32)
    assert np.array_equal(evaluator(booster)(features), booster.inplace_predict(features))


def test_a_plain_booster_is_evaluated_as_a_forest():
    assert isinstance(getattr(evaluator(boosted()), "__self__", None), Forest)
