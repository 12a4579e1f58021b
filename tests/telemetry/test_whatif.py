"""Recent decisions weighed anew, and summed up: on score breakdowns as decisions leave them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.breakdown import Predictions, ScoreBreakdown
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Priced, Weights, total
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.telemetry.comparing.summary import summarise
from rb_litellm.telemetry.comparing.whatif import choice_under, compared, weights_of
from rb_litellm.telemetry.records.decision import DecisionRecord
from rb_litellm.telemetry.records.decision_log import Recent

QUALITY = np.array([0.3, 0.6, 0.9])
E2E = np.array([1.0, 2.0, 6.0])
COST = np.array([1e-5, 1e-3, 4e-3])
DEPLOYMENTS = tuple(
    Deployment(name, name, name, name, latency_prior(name, False), 1e-7, 1e-7)
    for name in ("small", "middle", "large")
)


def decided(
    objective: Weights | Priced, offered: tuple[bool, ...] = (True, True, True), at_s: float = 0.0
) -> Recent:
    """A decision under these weights, or another objective, over the three deployments."""
    predictions = Predictions(
        QUALITY, np.full(3, 100.0), LatencyForecast(E2E * 0, E2E / 10, E2E / 100, E2E), COST
    )
    allowed = np.array(offered)
    if isinstance(objective, Weights):
        objective = JointScore(objective)
    terms = objective.terms(predictions, allowed)
    scores = total(terms, allowed)
    breakdown = ScoreBreakdown(predictions, allowed, allowed, terms, scores)
    chosen = int(np.argmax(scores))
    record = DecisionRecord(
        call_id=f"c{at_s}",
        attempt=0,
        deployment=DEPLOYMENTS[chosen].id,
        model=DEPLOYMENTS[chosen].group,
        candidates=int(allowed.sum()),
        reason="joint",
        duration_s=0.001,
        at_s=at_s,
        prediction=breakdown.prediction(chosen),
    )
    return Recent(record, breakdown, DEPLOYMENTS)


def by_simple_rule() -> Recent:
    return Recent(DecisionRecord("c", 0, "small", "small", 3, "fewest-open", 0.001), None, ())


def what_if(recent: list[Recent], weights: Weights) -> dict[str, Any]:
    return compared([choice_under(one, weights) for one in recent], weights)


def test_the_weights_that_decided_change_nothing() -> None:
    for weights in PRESETS.values():
        told = what_if([decided(weights)] * 5, weights)
        assert told["changed"] == 0
        assert told["then"] == told["now"]


@pytest.mark.parametrize(
    ("weights", "model"),
    [(Weights(1, 0, 0), "large"), (Weights(0, 1, 0), "small"), (Weights(0, 0, 1), "small")],
)
def test_a_single_weight_takes_the_best_in_it(weights: Weights, model: str) -> None:
    assert what_if([decided(PRESETS["balanced"])], weights)["then"]["share"] == {model: 1.0}


def test_another_deployment_of_the_same_tier_is_no_change() -> None:
    one = decided(Weights(0, 1, 0))
    alike = tuple(replace(d, tier="alike") for d in one.deployments)
    assert what_if([replace(one, deployments=alike)], Weights(1, 0, 0))["changed"] == 0


def test_what_was_not_allowed_then_is_not_chosen_now() -> None:
    told = what_if([decided(PRESETS["cost"], offered=(True, True, False))], Weights(1, 0, 0))
    assert told["then"]["share"] == {"middle": 1.0}


def test_a_decision_by_prices_is_weighed_by_weights() -> None:
    by_price = decided(Priced(usd_per_quality=1.0, usd_per_second=0.0))
    assert by_price.record.deployment == "large"
    assert what_if([by_price], PRESETS["cost"]) == {
        **what_if([decided(PRESETS["quality"])], PRESETS["cost"]),
        "changed": 1,
    }


AMOUNT = st.floats(0.0, 1e300)


@given(AMOUNT, AMOUNT, AMOUNT)
def test_any_proportions_make_weights_or_are_refused(quality: float, latency: float, cost: float) -> None:
    if not 0.0 < quality + latency + cost < float("inf"):
        with pytest.raises(ValueError, match="greater than 0"):
            weights_of(quality, latency, cost)
        return
    weights = weights_of(quality, latency, cost)
    assert weights.quality + weights.latency + weights.cost == pytest.approx(1.0)


@pytest.mark.parametrize("amount", [-1.0, float("nan"), float("inf")])
def test_amounts_that_are_no_weight_are_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="from 0 up"):
        weights_of(amount, 1.0, 1.0)


def test_means_are_those_of_the_choices() -> None:
    told = what_if([decided(Weights(0, 0, 1))], Weights(1, 0, 0))
    assert told["now"] | {"share": None} == {
        "share": None,
        "quality": 0.3,
        "e2e_s": 1.0,
        "cost_usd_per_1k": 0.01,
    }
    assert told["then"]["cost_usd_per_1k"] == 4.0
    assert (told["decisions"], told["changed"]) == (1, 1)


def test_decisions_of_the_simple_rule_have_nothing_to_weigh() -> None:
    assert what_if([by_simple_rule()], PRESETS["cost"])["decisions"] == 0
    assert what_if([], PRESETS["cost"])["changed"] == 0


def test_a_summary_tells_shares_means_and_a_random_candidate() -> None:
    recent = [decided(PRESETS["quality"], at_s=9.0), decided(PRESETS["cost"], at_s=2.0), by_simple_rule()]
    told = summarise(recent, None)
    assert told["decisions"] == 3
    assert told["share"] == {"small": pytest.approx(2 / 3, abs=1e-4), "large": pytest.approx(1 / 3, abs=1e-4)}
    assert told["reasons"] == {"joint": 2, "fewest-open": 1}
    assert told["chosen"]["quality"] == pytest.approx(0.6)
    assert told["random"] == {"quality": 0.6, "e2e_s": 3.0, "cost_usd_per_1k": pytest.approx(1.67)}
    assert told["baseline"] is None


def test_a_summary_of_nothing_is_empty() -> None:
    told = summarise([], "large")
    assert told["chosen"] is told["random"] is told["decision_ms"] is None
    assert told["baseline"] == {"model": "large", "decisions": 0}
    assert told["measured"]["answered"] == 0
