"""The flat forest gives XGBoost's figures, and whatever it cannot lay out is left to XGBoost."""

import os
import subprocess
import sys

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.predictors.trained.booster_file import read_booster
from rb_litellm.predictors.trained.forest import (
    MAX_DEPTH,
    Forest,
    Unsupported,
    agrees,
    checked_evaluator,
    evaluator,
)

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
    assert close(Forest.of_booster(booster).predict(features), expected)


def test_values_on_a_threshold_go_where_xgboost_sends_them():
    booster = boosted()
    assert agrees(Forest.of_booster(booster).predict, booster)


def test_a_tree_that_is_a_leaf_alone_counts():
    booster = boosted(gamma=1e9, base_score=0.0)
    features = np.zeros((2, FEATURES), dtype=np.float32)
    assert close(Forest.of_booster(booster).predict(features), booster.inplace_predict(features))


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
        Forest.of_booster(booster)
    features = np.ones((4, FEATURES), dtype=np.float32)
    assert np.array_equal(checked_evaluator(booster)(features), booster.inplace_predict(features))


def test_a_forest_that_disagrees_with_xgboost_is_not_used(monkeypatch):
    booster = boosted()
    monkeypatch.setattr(Forest, "predict", lambda self, rows: np.zeros((len(rows), 3), dtype=np.float32))
    features = np.ones((4, FEATURES), dtype=np.float32)
    assert np.array_equal(checked_evaluator(booster)(features), booster.inplace_predict(features))


def test_a_plain_booster_is_evaluated_as_a_forest():
    assert isinstance(getattr(checked_evaluator(boosted()), "__self__", None), Forest)


@settings(max_examples=25, deadline=None)
@given(outputs=st.integers(1, 4), rounds=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_file_is_evaluated_without_xgboost_and_gives_its_figures(outputs, rounds, seed):
    booster = boosted(outputs, rounds, seed)
    content = bytes(booster.save_raw("ubj"))
    evaluate, width = evaluator(content, read_booster(content))
    assert isinstance(getattr(evaluate, "__self__", None), Forest)
    assert width == FEATURES
    features = np.round(np.random.default_rng(seed + 1).normal(size=(33, FEATURES)), 1).astype(np.float32)
    assert close(evaluate(features), booster.inplace_predict(features).reshape(33, outputs))


def test_a_file_is_read_where_xgboost_is_not_installed(monkeypatch):
    content = bytes(boosted().save_raw("ubj"))
    monkeypatch.setitem(sys.modules, "xgboost", None)
    evaluate, _ = evaluator(content, read_booster(content))
    assert evaluate(np.ones((2, FEATURES), dtype=np.float32)).shape == (2, 3)


def test_a_file_of_trees_that_cannot_be_laid_out_is_evaluated_by_xgboost():
    booster = boosted(max_depth=MAX_DEPTH + 3, min_child_weight=0, eta=1.0, **{"lambda": 0})
    content = bytes(booster.save_raw("ubj"))
    evaluate, width = evaluator(content, read_booster(content))
    features = np.ones((4, FEATURES), dtype=np.float32)
    assert width == FEATURES
    assert np.array_equal(evaluate(features), booster.inplace_predict(features))


_SERVING = """
import asyncio, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import litellm, rb_litellm
rb_litellm.register()
params = {"model": "openai/gpt-4o-mini", "api_key": "none", "mock_response": "b"}
models = [{"model_name": "a", "litellm_params": params}]
router = litellm.Router(model_list=models, routing_strategy="routebalance")

async def ask():
    messages = [[{"role": "user", "content": f"hello {n}"}] for n in range(8)]
    return await asyncio.gather(*(router.acompletion(model="a", messages=its) for its in messages))

assert [answer.choices[0].message.content for answer in asyncio.run(ask())] == ["b"] * 8
from rb_litellm.litellm_adapter.worker import worker
assert not worker().runtime.counters.failures, worker().runtime.counters.failures
print([name for name in ("xgboost", "sklearn", "pandas", "polars", "matplotlib") if sys.modules.get(name)])
"""


@pytest.mark.parametrize("missing", [(), ("scipy", "xgboost", "polars")])
def test_a_worker_imports_nothing_that_only_training_needs(missing: tuple[str, ...]):
    """Those that the image leaves out need not be there at all."""
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    ran = subprocess.run(
        [sys.executable, "-c", _SERVING, *missing],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
