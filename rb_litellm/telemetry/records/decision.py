"""The record of one decision, made once and used by everything that reports it.

It names what was chosen and why: the best candidates with their predictions and score terms, the weights, the
filters, earlier attempts, and the age of the state. What was measured is added when the attempt is over. It
holds no prompt text, and its size is bounded: at most MAX_CANDIDATES candidates and names of at most MAX_NAME
characters, so its JSON stays below 8 KB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import isfinite
from typing import Any, Literal, TypedDict

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import Outcome, Prediction
from rb_litellm.telemetry.records.best_of import BestOfRecord
from rb_litellm.telemetry.records.cascade import CascadeRecord
from rb_litellm.telemetry.records.weighing import Weighing

MAX_CANDIDATES = 5
"""Candidates in a record."""
MAX_NAME = 128
"""Characters of a deployment's or model's name in a record."""
MAX_TARGETS = 256
"""Characters of how targets stand."""
_LOOK_AT = 64
"""The best candidates that are searched for further models to show."""

Reason = Literal["joint", "only-candidate", "exploration", "fewest-open", "shadow"]
"""How the deployment was chosen: by the joint score, because there was no other, to learn about it, by the
fallback rule after an internal error, or by LiteLLM's own strategy in shadow mode."""

Fallback = Literal["none", "retry", "fallback"]
"""A request's first attempt; a further one under the same model name; one under another name."""


class _Seldom(TypedDict, total=False):
    failed: list[str]
    """Filters that it did not pass, if any."""
    effort: str
    """The level of reasoning effort that it is a candidate for, if it is for one."""


class CandidateRecord(_Seldom):
    """One candidate as it was at the decision, in plain JSON values, rounded.

    It is made once for everything that reports it, so nobody writes to it.
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
    """The summands of its score, by name."""


@dataclass(slots=True)
class DecisionRecord:
    """Where one attempt was sent, and why."""

    call_id: str
    attempt: int
    """0 for a request's first; a retry or fallback is the next."""
    deployment: str
    model: str
    """Model group of the chosen deployment."""
    candidates: int
    reason: Reason
    duration_s: float
    """Our part of the pick, from the request's arrival at the strategy to the choice."""
    before_s: float | None = None
    """From the request's arrival at the proxy to that at the strategy, failed attempts included; None where
    it came through no proxy."""
    sending_s: float = 0.0
    """What was expected to pass from the choice until the server is asked."""
    requested: str = ""
    """Model name that was asked for."""
    at_s: float = 0.0
    """Unix time of the decision."""
    score: float | None = None
    prediction: Prediction | None = None
    top: tuple[CandidateRecord, ...] = ()
    """The best candidates by falling score: the best of each model before further ones of a model."""
    weighing: Weighing | None = None
    """The score's terms and weights; None where the fallback rule chose."""
    weights_from: str = ""
    """Where the weights come from: `settings`, or a level that outranks them."""
    targets: str = ""
    """How the targets that steer its weights stood, in words; empty without targets."""
    day: str = ""
    """How much of the day's dollars was spent, in words; empty where none are set."""
    minute: str = ""
    """The same of the minute's requests."""
    held: str = ""
    """Where it stood among held requests and how long it waited, in words; empty where it was not held."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Number of candidates that each filter removed; LiteLLM's own filters come before and do not count."""
    relaxed: tuple[str, ...] = ()
    """Limits that no candidate met and that were therefore loosened."""
    budget_usd: float | None = None
    """What the request may cost at most."""
    effort: str = ""
    """The level of reasoning effort that it was sent at; empty where none was chosen."""
    max_tokens: int | None = None
    """`max_tokens` as lowered to what the budget pays for; None where it was not."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits of the filters, by their names: s, quality or USD."""
    fallback: Fallback = "none"
    tried: tuple[str, ...] = ()
    """Deployments that earlier attempts of the request were sent to."""
    predictor: str | None = None
    """Version of the predictor; None where only priors were used."""
    state_age_s: float | None = None
    """Seconds since the last update from the other workers; None for a single worker."""
    baseline: Prediction | None = None
    """What was predicted for the baseline model, where one is configured and was a candidate."""
    priced: bool = True
    """Whether the price of the chosen deployment is known; else its predicted cost is a guess."""
    would: CandidateRecord | None = None
    """In shadow mode, what would have been chosen; None where it would have been refused."""
    cascade: CascadeRecord | None = None
    """None for a request that is answered once."""
    best_of: BestOfRecord | None = None
    """None for a request of which one answer is asked for."""
    outcome: Outcome | None = None
    """What was measured; None until the attempt is over."""

    def service_levels(self) -> Iterator[tuple[str, float, float]]:
        """Latency limits of the request and what was measured: name, limit and time in s."""
        if self.outcome is None:
            return
        proxy_s = (self.before_s or 0.0) + (self.outcome.sending_s or 0.0)
        measured = {"ttft": self.outcome.ttft_s, "tpot": self.outcome.tpot_s, "e2e": self.outcome.open_s}
        for name, measured_s in measured.items():
            if name in self.limits and measured_s is not None:
                yield name, self.limits[name], measured_s + (0.0 if name == "tpot" else proxy_s)

    @property
    def proxy_s(self) -> float:
        """The proxy's own time, as far as it is known, and expected for the rest."""
        before_s = 0.0 if self.attempt or self.before_s is None else self.before_s
        return before_s + self.duration_s + self.sending_s


def top_candidates(
    breakdown: ScoreBreakdown, deployments: Sequence[Deployment], chosen: int, weighing: Weighing
) -> tuple[CandidateRecord, ...]:
    """Up to MAX_CANDIDATES of the N candidates by falling score, including the chosen one.

    The best candidate of each model comes before further ones of a model, to show what each model was worth.
    """
    rows = _leading(breakdown)
    if len(rows) > MAX_CANDIDATES:
        if chosen not in rows:
            rows = [chosen, *rows]
        groups = [deployments[row].group for row in rows]
        # From the last to the first, so that the best of each model remains.
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
    (record,) = _candidates(breakdown, deployments, [row], weighing)
    return record


def _leading(breakdown: ScoreBreakdown) -> list[int]:
    """Rows of the _LOOK_AT best candidates, the best first."""
    scores = breakdown.scores
    if scores.size <= _LOOK_AT:
        ranked: list[int] = breakdown.ranked().tolist()
        return ranked
    # Sorting thousands to show a few would cost more than the decision itself.
    some = np.argpartition(scores, -_LOOK_AT)[-_LOOK_AT:]
    some = some[breakdown.offered[some]]
    ordered: list[int] = some[np.argsort(-scores[some], kind="stable")].tolist()
    return ordered


def _candidates(
    breakdown: ScoreBreakdown, deployments: Sequence[Deployment], rows: list[int], weighing: Weighing
) -> tuple[CandidateRecord, ...]:
    names = weighing.names
    records: list[CandidateRecord] = []
    for row, figures in zip(rows, weighing.figures(breakdown, rows), strict=True):
        deployment = deployments[row]
        quality, output_tokens, wait_s, ttft_s, tpot_s, e2e_s, cost_usd, score, *points = figures
        records.append(
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
    for row, candidate in zip(rows, records, strict=True):
        if deployments[row].effort:
            candidate["effort"] = deployments[row].effort
    if failing := breakdown.failing():
        for row, candidate in zip(rows, records, strict=True):
            if failed := [result.name for result in failing if not result.passed[row]]:
                candidate["failed"] = failed
    return tuple(records)


def removed_by(breakdown: ScoreBreakdown) -> dict[str, int]:
    """Number of offered candidates that each filter removed."""
    failing = breakdown.failing()
    return {v.name: n for v in failing if (n := int(np.count_nonzero(breakdown.offered & ~v.passed)))}


def as_json(record: DecisionRecord) -> dict[str, Any]:
    """The record as plain JSON values, each with its unit in its name; empty parts are omitted."""
    document: dict[str, Any] = {
        "call_id": record.call_id[:MAX_NAME],
        "attempt": record.attempt,
        "at_s": round(record.at_s, 3),
        "requested": record.requested[:MAX_NAME],
        "deployment": record.deployment[:MAX_NAME],
        "model": record.model[:MAX_NAME],
        "reason": record.reason,
        "candidates": record.candidates,
        "decision_ms": round(record.duration_s * 1e3, 3),
        "proxy_ms": round(record.proxy_s * 1e3, 3),
    }
    if record.score is not None:
        document["score"] = round(record.score, 4)
    if record.prediction is not None:
        document["predicted"] = prediction_json(record.prediction)
    if record.weighing is not None:
        document["weights"] = dict(record.weighing.rounded)
        document["weights_from"] = record.weights_from
    if record.targets:
        document["targets"] = record.targets[:MAX_TARGETS]
    if record.day:
        document["day"] = record.day
    if record.minute:
        document["minute"] = record.minute
    if record.held:
        document["held"] = record.held
    if record.effort:
        document["effort"] = record.effort
    if record.top:
        document["top"] = list(record.top)
    if record.limits:
        document["limits"] = {n: round(limit, 6) for n, limit in record.limits.items() if isfinite(limit)}
    if record.removed:
        document["removed"] = dict(record.removed)
    if record.relaxed:
        document["relaxed"] = list(record.relaxed)
    if record.budget_usd is not None:
        document["budget_usd"] = record.budget_usd
    if record.max_tokens is not None:
        document["max_tokens"] = record.max_tokens
    if record.fallback != "none":
        document["fallback"] = record.fallback
    if record.tried:
        document["tried"] = [name[:MAX_NAME] for name in record.tried[:MAX_CANDIDATES]]
    if record.predictor is not None:
        document["predictor"] = record.predictor[:MAX_NAME]
    if record.state_age_s is not None:
        document["state_age_s"] = round(record.state_age_s, 3)
    if record.baseline is not None:
        document["baseline"] = prediction_json(record.baseline)
    if not record.priced:
        document["price"] = "unknown"
    if record.cascade is not None:
        document["cascade"] = record.cascade
    if record.best_of is not None:
        document["best_of"] = record.best_of
    if record.would is not None:
        document["would"] = record.would
    if record.outcome is not None:
        document["measured"] = measured_json(record.outcome)
    return document


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
    """What was measured, as plain JSON values; what was not measured is omitted."""
    document: dict[str, Any] = {
        "closed_by": outcome.closed_by,
        "sending_s": None if outcome.sending_s is None else round(outcome.sending_s, 4),
        "open_s": round(outcome.open_s, 4),
        "ttft_s": None if outcome.ttft_s is None else round(outcome.ttft_s, 4),
        "tpot_s": None if outcome.tpot_s is None else round(outcome.tpot_s, 6),
        "output_tokens": outcome.output_tokens,
        "cost_usd": None if outcome.cost_usd is None else round(outcome.cost_usd, 10),
        "error": outcome.error,
        "answer_id": outcome.answer_id or None,
    }
    return {name: value for name, value in document.items() if value is not None}
