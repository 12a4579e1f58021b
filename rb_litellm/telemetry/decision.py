"""The record of one decision, made once and used by everything that reports it.

It names what was chosen and what it was chosen by: the best candidates with their predictions and score
terms, weights, filters, the attempts before it, the age of what was known. What was measured is added when
the attempt is over. It holds no prompt text, and its size is bounded: MAX_CANDIDATES candidates, names of
at most MAX_NAME characters, so its JSON stays below 8 KB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rb_litellm.core.ballot import Ballot
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import Outcome, Prediction

MAX_CANDIDATES = 5
"""Candidates told in a record."""
MAX_NAME = 128
"""Characters of a deployment's or model's name in a record."""
_LOOK_AT = 64
"""So many of the best candidates are looked through for models that are not told yet."""

Reason = Literal["joint", "only-candidate", "fewest-open"]
"""How the deployment was found: by the joint score, because there was no other, or by the simple rule
that serves when something inside failed."""

Fallback = Literal["none", "retry", "fallback"]
"""A request's first attempt; a further one under the same model name; one under another name."""


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """One candidate as it stood at the decision."""

    deployment: str
    model: str
    """Its model group."""
    score: float | None
    """None for a candidate that a filter removed."""
    prediction: Prediction
    terms: Mapping[str, float]
    """What its score is the sum of, by name."""
    failed: tuple[str, ...] = ()
    """Filters that it did not pass."""


@dataclass(slots=True)
class DecisionRecord:
    """Where one attempt was sent and what it was chosen by."""

    call_id: str
    attempt: int
    """0 for a request's first; a retry or fallback is the next."""
    deployment: str
    model: str
    """Model group of the chosen deployment."""
    candidates: int
    reason: Reason
    duration_s: float
    """Our part of the pick, from the request's arrival at the strategy."""
    requested: str = ""
    """Model name that was asked for."""
    at_s: float = 0.0
    """When, Unix time."""
    score: float | None = None
    prediction: Prediction | None = None
    top: tuple[CandidateRecord, ...] = ()
    """The best candidates by falling score: the best of each model before further ones of a model."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each term of the score."""
    weights_from: str = ""
    """Who set the weights: `settings`, or whatever outranked them."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """How many candidates each filter removed; LiteLLM's own filters come before and are not in it."""
    relaxed: tuple[str, ...] = ()
    """Limits that nobody met and that were therefore loosened."""
    budget_usd: float | None = None
    """What the request may cost at most."""
    max_tokens: int | None = None
    """The limit on its output that was lowered to what the budget pays for."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """What the filters asked for, by their names: s, quality or USD."""
    fallback: Fallback = "none"
    tried: tuple[str, ...] = ()
    """Deployments that earlier attempts of the request were sent to."""
    predictor: str | None = None
    """Version of the predictor; None where priors alone spoke."""
    state_age_s: float | None = None
    """Since the other workers were last heard; None for a worker by itself."""
    baseline: Prediction | None = None
    """What was predicted for the baseline model, where one is configured and was a candidate."""
    outcome: Outcome | None = None
    """What was measured; None until the attempt is over."""

    def service_levels(self) -> Iterator[tuple[str, float, float]]:
        """Latency limits of the request with what was measured against them: name, limit and time in s."""
        if self.outcome is None:
            return
        measured = {"ttft": self.outcome.ttft_s, "tpot": self.outcome.tpot_s, "e2e": self.outcome.open_s}
        for name, measured_s in measured.items():
            if name in self.limits and measured_s is not None:
                yield name, self.limits[name], measured_s


def top_candidates(
    ballot: Ballot, deployments: Sequence[Deployment], chosen: int
) -> tuple[CandidateRecord, ...]:
    """Up to MAX_CANDIDATES of the N candidates by falling score, the row that was chosen among them.

    The best of each model is told before further ones of a model, to show what the others were worth.
    """
    rows = ballot.ranked()[:_LOOK_AT].tolist()
    if len(rows) > MAX_CANDIDATES:
        best = {deployments[chosen].group: chosen}
        for row in rows:
            best.setdefault(deployments[row].group, row)
        leading = list(best.values())[:MAX_CANDIDATES]
        further = [row for row in rows if row not in leading]
        told = {*leading, *further[: MAX_CANDIDATES - len(leading)]}
        rows = [row for row in (rows if chosen in rows else [chosen, *rows]) if row in told]
    return tuple(_candidate(ballot, deployments[row], row) for row in rows)


def _candidate(ballot: Ballot, deployment: Deployment, row: int) -> CandidateRecord:
    allowed = bool(ballot.allowed[row])
    return CandidateRecord(
        deployment=deployment.id[:MAX_NAME],
        model=deployment.group[:MAX_NAME],
        score=float(ballot.scores[row]) if allowed else None,
        prediction=ballot.prediction(row),
        terms={term.name: term.weight * float(term.value[row]) for term in ballot.terms},
        failed=tuple(verdict.name for verdict in ballot.verdicts if not verdict.passed[row]),
    )


def removed_by(ballot: Ballot) -> dict[str, int]:
    """How many of the offered candidates each filter took away."""
    return {v.name: n for v in ballot.verdicts if (n := int((ballot.offered & ~v.passed).sum()))}


def as_json(record: DecisionRecord) -> dict[str, Any]:
    """The record as plain JSON values, every figure with its unit in its name; empty parts are left out."""
    told: dict[str, Any] = {
        "call_id": record.call_id[:MAX_NAME],
        "attempt": record.attempt,
        "at_s": round(record.at_s, 3),
        "requested": record.requested[:MAX_NAME],
        "deployment": record.deployment[:MAX_NAME],
        "model": record.model[:MAX_NAME],
        "reason": record.reason,
        "candidates": record.candidates,
        "score": _rounded(record.score),
        "predicted": None if record.prediction is None else prediction_json(record.prediction),
        "weights": {name: _rounded(weight) for name, weight in record.weights.items()},
        "weights_from": record.weights_from,
        "top": [candidate_json(candidate) for candidate in record.top],
        "limits": {name: _rounded(limit) for name, limit in record.limits.items()},
        "removed": dict(record.removed),
        "relaxed": list(record.relaxed),
        "budget_usd": record.budget_usd,
        "max_tokens": record.max_tokens,
        "fallback": record.fallback if record.fallback != "none" else None,
        "tried": [name[:MAX_NAME] for name in record.tried[:MAX_CANDIDATES]],
        "predictor": record.predictor,
        "state_age_s": _rounded(record.state_age_s),
        "decision_ms": round(record.duration_s * 1e3, 3),
        "baseline": None if record.baseline is None else prediction_json(record.baseline),
        "measured": None if record.outcome is None else measured_json(record.outcome),
    }
    return {name: value for name, value in told.items() if value not in (None, {}, [], "")}


def candidate_json(candidate: CandidateRecord) -> dict[str, Any]:
    """One candidate as plain JSON values."""
    told: dict[str, Any] = {
        "deployment": candidate.deployment,
        "model": candidate.model,
        "score": _rounded(candidate.score),
        **prediction_json(candidate.prediction),
        "terms": {name: _rounded(points) for name, points in candidate.terms.items()},
    }
    if candidate.failed:
        told["failed"] = list(candidate.failed)
    return told


def prediction_json(prediction: Prediction) -> dict[str, float]:
    """A prediction as plain JSON values."""
    p = prediction
    return {
        "quality": round(p.quality, 4),
        "output_tokens": round(p.output_tokens, 1),
        "wait_s": round(p.wait_s, 4),
        "ttft_s": round(p.ttft_s, 4),
        "tpot_s": round(p.tpot_s, 6),
        "e2e_s": round(p.e2e_s, 4),
        "cost_usd": round(p.cost_usd, 10),
    }


def measured_json(outcome: Outcome) -> dict[str, Any]:
    """What was measured as plain JSON values; what was not is left out."""
    told: dict[str, Any] = {
        "closed_by": outcome.closed_by,
        "open_s": round(outcome.open_s, 4),
        "ttft_s": _rounded(outcome.ttft_s),
        "tpot_s": None if outcome.tpot_s is None else round(outcome.tpot_s, 6),
        "output_tokens": outcome.output_tokens,
        "cost_usd": None if outcome.cost_usd is None else round(outcome.cost_usd, 10),
        "error": outcome.error,
    }
    return {name: value for name, value in told.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
