"""The record of one decision, made once and used by everything that reports it.

It names what was chosen and what it was chosen by: the best candidates with their predictions and score
terms, weights, filters, the attempts before it, the age of what was known. What was measured is added when
the attempt is over. It holds no prompt text, and its size is bounded: MAX_CANDIDATES candidates, names of
at most MAX_NAME characters, so its JSON stays below 8 KB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import isfinite
from typing import Any, Literal, TypedDict

import numpy as np

from rb_litellm.core.breakdown import ScoreBreakdown
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import Outcome, Prediction
from rb_litellm.telemetry.weighing import Weighing

MAX_CANDIDATES = 5
"""Candidates told in a record."""
MAX_NAME = 128
"""Characters of a deployment's or model's name in a record."""
_LOOK_AT = 64
"""So many of the best candidates are looked through for models that are not told yet."""

Reason = Literal["joint", "only-candidate", "exploration", "fewest-open", "shadow"]
"""How the deployment was found: by the joint score, because there was no other, to learn about it, by the
simple rule that serves when something inside failed, or by LiteLLM's own strategy while we only watch."""

Fallback = Literal["none", "retry", "fallback"]
"""A request's first attempt; a further one under the same model name; one under another name."""


class _Failed(TypedDict, total=False):
    failed: list[str]
    """Filters that it did not pass, where there are any."""


class CandidateRecord(_Failed):
    """One candidate as it stood at the decision. Figures are rounded to what they are good for.

    As plain JSON values, made once for all who tell it: nobody writes to one.
    """

    deployment: str
    model: str
    """Its model group."""
    score: float | None
    """None for a candidate that a filter removed."""
    quality: float
    output_tokens: float
    wait_s: float
    ttft_s: float
    tpot_s: float
    e2e_s: float
    cost_usd: float
    terms: dict[str, float]
    """What its score is the sum of, by name."""


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
    weighing: Weighing | None = None
    """What the score is the sum of; None where the simple rule served."""
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
    would: CandidateRecord | None = None
    """In shadow mode, what would have been chosen; None where it would have been refused."""
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
    breakdown: ScoreBreakdown, deployments: Sequence[Deployment], chosen: int, weighing: Weighing
) -> tuple[CandidateRecord, ...]:
    """Up to MAX_CANDIDATES of the N candidates by falling score, the row that was chosen among them.

    The best of each model is told before further ones of a model, to show what the others were worth.
    """
    rows = _leading(breakdown)
    if len(rows) > MAX_CANDIDATES:
        if chosen not in rows:
            rows = [chosen, *rows]
        groups = [deployments[row].group for row in rows]
        # From the last to the first, so that of each model the best one stays.
        best = dict(zip(reversed(groups), reversed(rows), strict=True))
        best[deployments[chosen].group] = chosen
        leading = [chosen, *sorted({*best.values()} - {chosen}, key=rows.index)]
        further = (row for row in rows if row not in leading)
        rows = sorted(islice(chain(leading, further), MAX_CANDIDATES), key=rows.index)
    return _candidates(breakdown, deployments, rows, weighing)


def candidate(
    breakdown: ScoreBreakdown, deployments: Sequence[Deployment], row: int, weighing: Weighing
) -> CandidateRecord:
    """One of the N candidates."""
    (told,) = _candidates(breakdown, deployments, [row], weighing)
    return told


def _leading(breakdown: ScoreBreakdown) -> list[int]:
    """Rows of the _LOOK_AT best candidates, the best first."""
    scores = breakdown.scores
    if scores.size <= _LOOK_AT:
        ranked: list[int] = breakdown.ranked().tolist()
        return ranked
    # Sorting thousands for the sake of a few would cost more than deciding among them.
    some = np.argpartition(scores, -_LOOK_AT)[-_LOOK_AT:]
    some = some[breakdown.offered[some]]
    ordered: list[int] = some[np.argsort(-scores[some], kind="stable")].tolist()
    return ordered


def _candidates(
    breakdown: ScoreBreakdown, deployments: Sequence[Deployment], rows: list[int], weighing: Weighing
) -> tuple[CandidateRecord, ...]:
    names = weighing.names
    told: list[CandidateRecord] = []
    for row, figures in zip(rows, weighing.figures(breakdown, rows), strict=True):
        deployment = deployments[row]
        quality, output_tokens, wait_s, ttft_s, tpot_s, e2e_s, cost_usd, score, *points = figures
        told.append(
            {
                "deployment": deployment.id[:MAX_NAME],
                "model": deployment.group[:MAX_NAME],
                "score": score if isfinite(score) else None,
                "quality": quality,
                "output_tokens": output_tokens,
                "wait_s": wait_s,
                "ttft_s": ttft_s,
                "tpot_s": tpot_s,
                "e2e_s": e2e_s,
                "cost_usd": cost_usd,
                "terms": dict(zip(names, points, strict=True)),
            }
        )
    if failing := breakdown.failing():
        for row, candidate in zip(rows, told, strict=True):
            if failed := [result.name for result in failing if not result.passed[row]]:
                candidate["failed"] = failed
    return tuple(told)


def removed_by(breakdown: ScoreBreakdown) -> dict[str, int]:
    """How many of the offered candidates each filter took away."""
    failing = breakdown.failing()
    return {v.name: n for v in failing if (n := int(np.count_nonzero(breakdown.offered & ~v.passed)))}


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
        "decision_ms": round(record.duration_s * 1e3, 3),
    }
    if record.score is not None:
        told["score"] = round(record.score, 4)
    if record.prediction is not None:
        told["predicted"] = prediction_json(record.prediction)
    if record.weighing is not None:
        told["weights"] = dict(record.weighing.told)
        told["weights_from"] = record.weights_from
    if record.top:
        told["top"] = list(record.top)
    if record.limits:
        told["limits"] = {n: round(limit, 6) for n, limit in record.limits.items() if isfinite(limit)}
    if record.removed:
        told["removed"] = dict(record.removed)
    if record.relaxed:
        told["relaxed"] = list(record.relaxed)
    if record.budget_usd is not None:
        told["budget_usd"] = record.budget_usd
    if record.max_tokens is not None:
        told["max_tokens"] = record.max_tokens
    if record.fallback != "none":
        told["fallback"] = record.fallback
    if record.tried:
        told["tried"] = [name[:MAX_NAME] for name in record.tried[:MAX_CANDIDATES]]
    if record.predictor is not None:
        told["predictor"] = record.predictor[:MAX_NAME]
    if record.state_age_s is not None:
        told["state_age_s"] = round(record.state_age_s, 3)
    if record.baseline is not None:
        told["baseline"] = prediction_json(record.baseline)
    if record.would is not None:
        told["would"] = record.would
    if record.outcome is not None:
        told["measured"] = measured_json(record.outcome)
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
        "ttft_s": None if outcome.ttft_s is None else round(outcome.ttft_s, 4),
        "tpot_s": None if outcome.tpot_s is None else round(outcome.tpot_s, 6),
        "output_tokens": outcome.output_tokens,
        "cost_usd": None if outcome.cost_usd is None else round(outcome.cost_usd, 10),
        "error": outcome.error,
    }
    return {name: value for name, value in told.items() if value is not None}
