"""Decisions made by the real balancer, for tests of what reports them."""

from random import Random

from rb_litellm.balancer import Balancer, RoutingRequest
from rb_litellm.core.decision.scoring import PRESETS, JointScore
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.types import Outcome, Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner

PROMPT = Prompt(text="The secret of the day", input_tokens=100)


def deployment(id, group="small", quality=0.5, price=1e-6, size="3b"):
    return Deployment(
        id=id,
        group=group,
        model=f"x/{group}-{size}",
        tier=group,
        prior=latency_prior(f"x/{group}-{size}", hosted=False),
        input_usd_per_token=price,
        output_usd_per_token=price,
        quality=quality,
        output_tokens=100.0,
    )


SMALL = [deployment(f"small-{i}") for i in range(6)]
LARGE = [deployment(f"large-{i}", "large", 0.9, 1e-5, "72b") for i in range(2)]


def decide(candidates, weights="balanced"):
    """The assignment of one request among the candidates, nothing being open."""
    index = DeploymentIndex()
    reckoner = Reckoner(index, Ledger(index, LeaseRule()), Peers(index))
    balancer = Balancer(reckoner, LatencyLearner(), Random())
    ask = RoutingRequest(PROMPT, tuple(candidates), JointScore(PRESETS[weights]))
    return balancer.decide([ask], PredictionSource(), 0.0)[0]


def record(recorder, candidates, call_id="c", attempt=0, weights="balanced", **fields):
    """The record of one request decided among the candidates."""
    known = {
        "requested": "auto",
        "weights_from": "settings",
        "tried": (),
        "predictor": None,
        "state_age_s": None,
        "duration_s": 0.001,
    }
    return recorder.decided(
        decide(candidates, weights), call_id=call_id, attempt=attempt, **{**known, **fields}
    )


def outcome(call_id="c", attempt=0, deployment="small-0", **fields):
    known = {
        "closed_by": "success-hook",
        "predicted": None,
        "input_tokens": 100,
        "in_flight": 0.0,
        "pending_prefill_tokens": 0.0,
        "open_s": 2.0,
    }
    return Outcome(deployment=deployment, call_id=call_id, attempt=attempt, **{**known, **fields})
