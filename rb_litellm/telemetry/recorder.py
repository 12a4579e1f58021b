"""Makes the record of each decision and hands it, and later its outcome, to all that report it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from rb_litellm.balancer import Assignment
from rb_litellm.core.types import Outcome
from rb_litellm.telemetry.baseline import Baseline
from rb_litellm.telemetry.decision import DecisionRecord, removed_by, top_candidates
from rb_litellm.telemetry.decision_log import DecisionLog


class Recorder:
    """One per worker. Guard with the runtime's lock. `wall` gives Unix time in s."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.log = DecisionLog()
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
        budget_usd: float | None = None,
        max_tokens: int | None = None,
    ) -> DecisionRecord:
        """Record a joint decision."""
        decision = assignment.decision
        ballot = decision.ballot
        record = DecisionRecord(
            call_id=call_id,
            attempt=attempt,
            deployment=assignment.deployment.id,
            model=assignment.deployment.group,
            candidates=decision.candidates,
            reason="joint" if decision.candidates > 1 else "only-candidate",
            duration_s=duration_s,
            requested=requested,
            at_s=self._wall(),
            score=decision.score,
            prediction=decision.prediction,
            top=top_candidates(ballot, assignment.deployments, decision.index),
            weights={term.name: term.weight for term in ballot.terms},
            weights_from=weights_from,
            removed=removed_by(ballot),
            relaxed=ballot.relaxed,
            budget_usd=budget_usd,
            max_tokens=max_tokens,
            tried=tuple(tried),
            predictor=predictor,
            state_age_s=state_age_s,
            baseline=self.baseline.prediction(ballot, assignment.deployments),
        )
        self.log.add(record, ballot, assignment.deployments)
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
        """Record what the simple rule chose when the decision failed."""
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
            tried=tuple(tried),
        )
        self.log.add(record)
        return record

    def finished(self, outcome: Outcome) -> None:
        """An attempt is over and all is known of it that will be."""
        self.log.finish(outcome)
