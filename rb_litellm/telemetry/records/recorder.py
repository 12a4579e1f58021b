"""Makes the record of each decision and passes it, and later its outcome, to everything that reports it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from math import isfinite

from rb_litellm.balancer import Assignment
from rb_litellm.core.decision.breakdown import Decision, Refusal, ScoreBreakdown
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import Outcome
from rb_litellm.telemetry.meter import Meter
from rb_litellm.telemetry.records.baseline import Baseline
from rb_litellm.telemetry.records.best_of import best_of_record
from rb_litellm.telemetry.records.cascade import CascadeRecord, cascade_record
from rb_litellm.telemetry.records.decision import (
    DecisionRecord,
    Fallback,
    Reason,
    candidate,
    removed_by,
    top_candidates,
)
from rb_litellm.telemetry.records.decision_log import DecisionLog
from rb_litellm.telemetry.records.weighing import weighing_of


class Recorder:
    """One per worker. Guard with the runtime's lock. `wall` gives Unix time in s."""

    def __init__(self, meter: Meter | None = None, wall: Callable[[], float] = time.time) -> None:
        """`meter` counts for Prometheus; None without it."""
        self.log = DecisionLog()
        self.meter = meter
        self.baseline = Baseline()
        self._wall = wall

    def decided(
        self,
        assignment: Assignment,
        *,
        call_id: str,
        attempt: int,
        requested: str,
        weights_from: str,
        tried: Collection[str],
        predictor: str | None,
        state_age_s: float | None,
        duration_s: float,
        before_s: float | None = None,
        sending_s: float = 0.0,
        targets: str = "",
        day: str = "",
        minute: str = "",
        held: str = "",
        budget_usd: float | None = None,
        max_tokens: int | None = None,
        would: Assignment | Refusal | None = None,
    ) -> DecisionRecord:
        """Record a joint decision; in shadow mode the base strategy's choice, with ours as `would`."""
        decision = assignment.decision
        breakdown = decision.breakdown
        weighing = weighing_of(breakdown.terms)
        record = DecisionRecord(
            call_id=call_id,
            attempt=attempt,
            deployment=assignment.deployment.id,
            model=assignment.deployment.group,
            candidates=decision.candidates,
            reason=reason_of(decision) if would is None else "shadow",
            duration_s=duration_s,
            before_s=before_s,
            sending_s=sending_s,
            requested=requested,
            at_s=self._wall(),
            score=decision.score if isfinite(decision.score) else None,
            prediction=decision.prediction,
            top=top_candidates(breakdown, assignment.deployments, decision.index, weighing),
            weighing=weighing,
            weights_from=weights_from,
            removed=removed_by(breakdown),
            relaxed=breakdown.relaxed,
            targets=targets,
            day=day,
            minute=minute,
            held=held,
            budget_usd=budget_usd,
            effort=assignment.deployment.effort,
            max_tokens=max_tokens,
            limits=breakdown.limits,
            fallback=self._fallback(call_id, attempt, requested),
            tried=tuple(tried),
            predictor=predictor,
            state_age_s=state_age_s,
            priced=assignment.deployment.priced,
            cascade=_cascade(assignment),
            best_of=None if decision.best_of is None else best_of_record(decision.best_of),
            baseline=self.baseline.prediction(breakdown, assignment.deployments),
            would=candidate(breakdown, would.deployments, would.decision.index, weighing)
            if isinstance(would, Assignment)
            else None,
        )
        self._add(record, breakdown, assignment.deployments)
        return record

    def fell_back(
        self,
        *,
        deployment: str,
        model: str,
        candidates: int,
        call_id: str,
        attempt: int,
        requested: str,
        tried: Collection[str],
        duration_s: float,
    ) -> DecisionRecord:
        """Record what the fallback rule chose when the decision failed."""
        record = DecisionRecord(
            call_id=call_id,
            attempt=attempt,
            deployment=deployment,
            model=model,
            candidates=candidates,
            reason="fewest-open",
            duration_s=duration_s,
            requested=requested,
            at_s=self._wall(),
            fallback=self._fallback(call_id, attempt, requested),
            tried=tuple(tried),
        )
        self._add(record)
        return record

    def finished(self, outcome: Outcome) -> None:
        """Add the final outcome of an attempt to its record."""
        record = self.log.finish(outcome)
        if record is not None and self.meter is not None:
            self.meter.finished(record)

    def cascaded(self, first: str, second: str, became: str) -> None:
        """Count what became of a request that could be answered twice, by its model groups."""
        if self.meter is not None:
            self.meter.cascaded(first, second, became)

    def answered_several(self, model: str, answers: int, became: str) -> None:
        """Count what became of a request of which several answers of one model group were asked for."""
        if self.meter is not None:
            self.meter.answered_several(model, answers, became)

    def _add(
        self,
        record: DecisionRecord,
        breakdown: ScoreBreakdown | None = None,
        deployments: tuple[Deployment, ...] = (),
    ) -> None:
        self.log.add(record, breakdown, deployments)
        if self.meter is not None:
            self.meter.decided(record)

    def _fallback(self, call_id: str, attempt: int, requested: str) -> Fallback:
        if attempt == 0:
            return "none"
        before = self.log.latest(call_id)
        return "retry" if before is None or before.requested == requested else "fallback"


def reason_of(decision: Decision) -> Reason:
    """Why the balancer chose its deployment."""
    if decision.candidates == 1:
        return "only-candidate"
    return "exploration" if decision.explored else "joint"


def _cascade(assignment: Assignment) -> CascadeRecord | None:
    compound = assignment.decision.cascade
    return None if compound is None else cascade_record(compound, assignment.deployments[compound.second])
