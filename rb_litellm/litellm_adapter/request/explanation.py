"""A decision laid open: what would be chosen for a request now, by what, and what would change it.

An explanation is a pick that nobody carries out. The request goes through the whole of LiteLLM's own
pick, with its filters, plugins and hooks; the selector finds an inquiry in its context, writes the answer
there, and counts nothing as load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.controls import Plan
from rb_litellm.core.decision.breakdown import FilterResult, Refusal, ScoreBreakdown
from rb_litellm.core.decision.scoring import JointScore
from rb_litellm.core.decision.sensitivity import flips
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.request.refusals import message_of
from rb_litellm.telemetry.records.best_of import best_of_record
from rb_litellm.telemetry.records.cascade import cascade_record
from rb_litellm.telemetry.records.decision import prediction_json

MAX_CANDIDATES = 1000
"""Candidates told in one explanation, the best first."""
MAX_FLIPS = 10


@dataclass(slots=True)
class Inquiry:
    """Somebody wants to know how this request would be decided."""

    answer: dict[str, Any] | None = None
    """None until one of our selectors has answered."""


_inquiry: ContextVar[Inquiry | None] = ContextVar("routebalance_inquiry", default=None)


def current_inquiry() -> Inquiry | None:
    """The inquiry that a pick is made for; None for every pick that is meant."""
    return _inquiry.get()


@contextmanager
def inquiry() -> Iterator[Inquiry]:
    """Picks made within this block in this context explain and do nothing else."""
    asked = Inquiry()
    token = _inquiry.set(asked)
    try:
        yield asked
    finally:
        _inquiry.reset(token)


def explanation(
    placed: Assignment | Refusal,
    deployments: Sequence[Deployment],
    taken: Mapping[int, str],
    plan: Plan,
    max_tokens: int | None,
) -> dict[str, Any]:
    """The answer as plain JSON values; `deployments` are those that the ballot's rows speak of, and `taken`
    says why some of these were passed over."""
    breakdown = placed.breakdown if isinstance(placed, Refusal) else placed.decision.breakdown
    told: dict[str, Any] = {
        "chosen": None if isinstance(placed, Refusal) else placed.deployment.id,
        "objective": _objective(plan),
        "weights": {term.name: term.weight for term in breakdown.terms},
        "set_by": dict(plan.sources),
        "ignored": [*plan.refused, *plan.bounded],
        "relaxed": list(breakdown.relaxed),
        "candidates": [_candidate(breakdown, deployments[row], row) for row in _told(breakdown)],
        "passed_over": [
            _passed_over(deployments[row], why) for row, why in [*taken.items()][:MAX_CANDIDATES]
        ],
        "flips": [],
    }
    if isinstance(placed, Assignment) and (cascade := placed.decision.cascade) is not None:
        told["cascade"] = cascade_record(cascade, deployments[cascade.second])
    if isinstance(placed, Assignment) and (samples := placed.decision.best_of) is not None:
        told["best_of"] = best_of_record(samples)
    if isinstance(placed, Assignment) and placed.deployment.effort:
        told["effort"] = placed.deployment.effort
    if plan.max_cost_usd is not None:
        told["budget"] = {"max_cost_usd": plan.max_cost_usd, "max_tokens": max_tokens}
    if isinstance(placed, Refusal):
        told["refused"] = {
            "reason": placed.reason,
            "message": message_of(placed),
            "needed": dict(placed.needed),
            "retry_after_s": placed.retry_after_s,
        }
    else:
        found = flips(breakdown, placed.decision.index)[:MAX_FLIPS]
        told["flips"] = [
            {
                "deployment": deployments[f.row].id,
                "name": deployments[f.row].name,
                "model": deployments[f.row].group,
                **({"effort": deployments[f.row].effort} if deployments[f.row].effort else {}),
                "weights": f.weights,
            }
            for f in found
        ]
    return told


def _objective(plan: Plan) -> str:
    if plan.targets is not None:
        return "targets"
    return "score" if isinstance(plan.objective, JointScore) else "priced"


def _told(breakdown: ScoreBreakdown) -> list[int]:
    rows: list[int] = breakdown.ranked()[:MAX_CANDIDATES].tolist()
    return rows


def _passed_over(deployment: Deployment, why: str) -> dict[str, Any]:
    return {
        "deployment": deployment.id,
        "name": deployment.name,
        "model": deployment.group,
        **({"effort": deployment.effort} if deployment.effort else {}),
        "why": why,
    }


def _candidate(breakdown: ScoreBreakdown, deployment: Deployment, row: int) -> dict[str, Any]:
    allowed = bool(breakdown.allowed[row])
    failures_s = breakdown.predictions.times.failures_s
    return {
        "deployment": deployment.id,
        "name": deployment.name,
        "model": deployment.group,
        "price": "known" if deployment.priced else "unknown",
        **({"effort": deployment.effort} if deployment.effort else {}),
        "score": round(float(breakdown.scores[row]), 6) if allowed else None,
        **prediction_json(breakdown.prediction(row)),
        **({} if failures_s is None else {"failures_s": round(float(failures_s[row]), 4)}),
        "terms": {term.name: round(float(term.weight * term.value[row]), 6) for term in breakdown.terms},
        "filters": {result.name: _filter_result(result, row) for result in breakdown.filter_results},
    }


def _filter_result(result: FilterResult, row: int) -> Mapping[str, Any]:
    return {
        "passed": bool(result.passed[row]),
        "limit": result.limit,
        "level": round(float(result.level[row]), 9),
    }
