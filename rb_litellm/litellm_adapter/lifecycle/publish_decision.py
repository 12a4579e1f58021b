"""Decisions written down and told: to our own log and metrics, and to LiteLLM in the request's metadata.

At the pick only what names the decision goes into the metadata, a few microseconds. The record with all that
it was chosen by is made TELL_WITHIN_S later, when the request is on its way, and its outcome is added so long
after its answer: in slices, or as soon as somebody asks.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from math import isfinite
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.routing_decision import told
from rb_litellm.litellm_adapter.shared.upkeep.deferred import Action, DeferredActions
from rb_litellm.telemetry.records.decision import DecisionRecord
from rb_litellm.telemetry.records.decision_log import DecisionLog
from rb_litellm.telemetry.records.recorder import Recorder, reason_of

TELL_WITHIN_S = 0.002


class DecisionPublisher:
    """One per worker. Guard all but `tell_litellm` with the runtime's lock."""

    def __init__(
        self,
        recorder: Recorder,
        guarded: Callable[[Action], None],
        failed: Callable[[Exception], None],
        record: Callable[[dict[str, Any], dict[str, Any]], None],
    ) -> None:
        """`guarded` runs an action under that lock; `failed` counts what could not be told.

        `record(request_kwargs, decision)` leaves a decision in a request's metadata.
        """
        self._recorder = recorder
        self._deferred = DeferredActions(TELL_WITHIN_S, guarded, "telemetry")
        self._failed = failed
        self._record = record
        self._unwritten: Counter[str] = Counter()
        """Calls of which something is still to be written down; bounded by the queue."""

    def decided(
        self,
        arrival: Arrival,
        assignment: Assignment,
        *,
        attempt: int,
        tried: Collection[str],
        predictor: str | None,
        state_age_s: float | None,
        sending_s: float = 0.0,
        would: Assignment | Refusal | None = None,
    ) -> None:
        """A joint decision was made, or with `would` the choice of another was watched."""
        decision = assignment.decision
        arrival.reason = reason_of(decision) if would is None else "shadow"
        arrival.model = assignment.deployment.group
        # A watched choice may be one that a filter has removed.
        arrival.score = decision.score if isfinite(decision.score) else None
        duration_s = time.perf_counter() - arrival.at

        def record() -> DecisionRecord:
            return self._recorder.decided(
                assignment,
                call_id=arrival.known_id,
                attempt=attempt,
                requested=arrival.requested,
                weights_from=arrival.weights_from,
                tried=tried,
                predictor=predictor,
                state_age_s=state_age_s,
                duration_s=duration_s,
                before_s=arrival.before_s,
                sending_s=sending_s,
                targets=arrival.targets,
                day=arrival.day,
                minute=arrival.minute,
                held=arrival.held,
                budget_usd=arrival.budget_usd,
                max_tokens=arrival.max_tokens,
                would=would,
            )

        self._later(arrival.known_id, lambda: self._write_down(arrival, record))

    def fell_back(
        self, arrival: Arrival, *, deployment: str, model: str, candidates: int, attempt: int,
        tried: Collection[str],
    ) -> None:  # fmt: skip
        """The fallback rule has chosen, because the decision failed."""
        arrival.reason, arrival.model, arrival.score = "fewest-open", model, None
        duration_s = time.perf_counter() - arrival.at

        def record() -> DecisionRecord:
            return self._recorder.fell_back(
                deployment=deployment,
                model=model,
                candidates=candidates,
                call_id=arrival.known_id,
                attempt=attempt,
                requested=arrival.requested,
                tried=tried,
                duration_s=duration_s,
            )

        self._later(arrival.known_id, lambda: self._write_down(arrival, record))

    def tell_litellm(self, arrival: Arrival, request_kwargs: dict[str, Any] | None) -> None:
        """Put the decision into the request's metadata."""
        if request_kwargs is None or arrival.reason is None:
            return
        try:
            arrival.told = told(
                arrival.requested, arrival.model, arrival.reason, arrival.score, request_kwargs
            )
            if arrival.record is not None:
                arrival.told.complete(arrival.record)
            self._record(request_kwargs, arrival.told.decision)
        except Exception as error:  # noqa: BLE001  an unexplained request is better than none
            self._failed(error)

    def finished(self, outcome: Outcome) -> None:
        """An attempt is over and all is known of it that will be."""
        self._later(outcome.call_id, partial(self._recorder.finished, outcome))

    def unwritten(self, call_id: str | None = None) -> asyncio.Future[None] | None:
        """Done when all is written that there is to write of a call, or of any; None if it is.

        Await it without the lock. Needs a running loop.
        """
        return None if call_id is not None and call_id not in self._unwritten else self._deferred.marked()

    def work_off(self) -> None:
        """Write down now what was decided so far."""
        self._deferred.work_off()

    @property
    def written(self) -> DecisionLog:
        """The records of decisions that are written down."""
        return self._recorder.log

    @property
    def log(self) -> DecisionLog:
        """The records of decisions, those of this moment with them."""
        self.work_off()
        return self._recorder.log

    def _later(self, call_id: str, action: Action) -> None:
        self._unwritten[call_id] += 1

        def act() -> None:
            self._unwritten[call_id] -= 1
            if self._unwritten[call_id] <= 0:
                del self._unwritten[call_id]
            action()

        self._deferred.add(act)

    def _write_down(self, arrival: Arrival, make: Callable[[], DecisionRecord]) -> None:
        try:
            arrival.record = make()
            if arrival.told is not None:
                arrival.told.complete(arrival.record)
        except Exception as error:  # noqa: BLE001  an unexplained request is better than none
            self._failed(error)
