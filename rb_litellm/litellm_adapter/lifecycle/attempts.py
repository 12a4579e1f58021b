"""From LiteLLM's events to the ledger: what opens an attempt, what closes it, what is learned from it.

LiteLLM says in many ways, and sometimes not at all, that a call is over. The first word closes the
attempt and frees its load; what an answer used often comes later, with the success event, and completes
the outcome. The two are kept apart so that load is never held for the sake of a measurement.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from rb_litellm.balancer import Assignment
from rb_litellm.core.measurement import measured
from rb_litellm.core.streams import Progress
from rb_litellm.core.types import Outcome
from rb_litellm.state.ledger import AttemptKey, Ledger

MAX_AWAITING = 4096
"""Closed attempts that wait for their usage; the oldest is recorded without it."""


@dataclass(slots=True)
class _Open:
    deployment: str
    again: bool
    """The call was on this deployment before, so a failure told of it may be the earlier one's."""
    task: asyncio.Task[object] | None = None
    ended: Callable[[asyncio.Task[object]], None] | None = None


class Attempts:
    """The attempts of this process. Guard with the runtime's lock; times in s on its clock.

    `finished(outcome)` is called once for every attempt, when no more will be learned of it;
    `begun(outcome)` before that, when its first token comes.
    """

    def __init__(
        self,
        ledger: Ledger,
        finished: Callable[[Outcome], None],
        begun: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._finished = finished
        self._begun = begun
        self._awaiting: OrderedDict[AttemptKey, Outcome] = OrderedDict()
        # Bounded by the ledger's open attempts.
        self._open: dict[AttemptKey, _Open] = {}

    def open(
        self,
        call_id: str,
        assignment: Assignment,
        input_tokens: int,
        now: float,
        streams: bool,
        task: asyncio.Task[object] | None = None,
    ) -> AttemptKey:
        """Count a new attempt; an earlier one of the same call and task that is still open has failed.

        `streams` says that its first token will be seen; `task` makes the pick.
        """
        key = self._next(call_id, assignment.deployment.id, now, task)
        self._ledger.open(
            key,
            assignment.deployment.id,
            now=now,
            input_tokens=input_tokens,
            prediction=assignment.decision.prediction,
            in_flight=assignment.decision.in_flight,
            pending_prefill_tokens=assignment.decision.pending_prefill_tokens,
            streams=streams,
        )
        return key

    def open_unpredicted(
        self, call_id: str, deployment: str, now: float, task: asyncio.Task[object] | None = None
    ) -> AttemptKey:
        """Count an attempt that was placed by the fallback rule, without a prediction."""
        key = self._next(call_id, deployment, now, task)
        self._ledger.open(key, deployment, now=now, input_tokens=0, prediction=None)
        return key

    def watch(
        self, key: AttemptKey, task: asyncio.Task[object], ended: Callable[[AttemptKey, str | None], None]
    ) -> None:
        """Call `ended(key, error)` when the task that made the attempt ends, unless it was closed before."""

        def done(over: asyncio.Task[object]) -> None:
            failure = "CancelledError" if over.cancelled() else over.exception()
            ended(key, failure if failure is None or isinstance(failure, str) else type(failure).__name__)

        self._open[key].task, self._open[key].ended = task, done
        task.add_done_callback(done)

    def first_token(self, call_id: str, now: float, progress: Progress | None = None) -> None:
        """The first chunk of an answer has come; `progress` says how many, from now on."""
        key = self._ledger.latest_open(call_id)
        outcome = None if key is None else self._ledger.first_token(key, now, progress)
        if outcome is not None:
            self._begun(outcome)

    def close(
        self,
        call_id: str,
        closed_by: str,
        now: float,
        *,
        deployment: str | None = None,
        error: str | None = None,
        ttft_s: float | None = None,
    ) -> None:
        """Close the open attempt of a call, if it has one; `deployment` is who ended it, where known."""
        key = self._ledger.latest_open(call_id, deployment)
        if key is None:
            return
        if deployment is not None and self._open[key].deployment != deployment:
            # A fallback to a model that is not routed here has answered.
            error = "AnsweredElsewhere"
        self.close_attempt(key, closed_by, now, error=error, ttft_s=ttft_s)

    def failed(self, call_id: str, deployment: str, now: float, error: str, at_once: bool) -> None:
        """Close the call's open attempt if it is surely the one that failed.

        `at_once` says that nothing can have come in between; other words of a failure come late, when
        a retry may be under way on the same deployment.
        """
        key = self._ledger.latest_open(call_id, deployment)
        if key is None or self._open[key].deployment != deployment:
            return
        if at_once:
            self.close_attempt(key, "attempt-failed", now, error=error)
        elif not self._open[key].again:
            self.close_attempt(key, "failure-event", now, error=error)

    def close_attempt(
        self,
        key: AttemptKey,
        closed_by: str,
        now: float,
        *,
        error: str | None = None,
        ttft_s: float | None = None,
    ) -> None:
        """Close one attempt; a second close of the same changes nothing."""
        outcome = self._ledger.close(key, now, closed_by, error=error, ttft_s=ttft_s)
        if outcome is None:
            return
        self._forget(key)
        if outcome.error is not None:
            self._finished(outcome)
            return
        self._awaiting[key] = outcome
        if len(self._awaiting) > MAX_AWAITING:
            self._finished(self._awaiting.popitem(last=False)[1])

    def complete(
        self,
        call_id: str,
        deployment: str | None,
        output_tokens: int | None,
        cost_usd: float | None,
        cached: bool,
    ) -> None:
        """Hand on what a successful call used: the outcome is measured and final.

        An answer from a cache has no time and no length to learn from.
        """
        key = self._latest_awaiting(call_id)
        if key is None:
            return
        outcome = self._awaiting[key]
        if deployment is not None and outcome.deployment != deployment:
            return
        if cached:
            del self._awaiting[key]
            self._finished(replace(outcome, error="CacheHit"))
        elif output_tokens is not None:
            del self._awaiting[key]
            self._finished(measured(outcome, output_tokens, cost_usd))

    def unfinished(self, call_id: str) -> bool:
        """Whether an attempt of the call is open, or waits for what its answer used."""
        return self._ledger.latest_open(call_id) is not None or self._latest_awaiting(call_id) is not None

    def expire(self, now: float) -> int:
        """Close what is past its lease; returns how many."""
        outcomes = self._ledger.expire(now)
        for outcome in outcomes:
            self._finished(outcome)
        if outcomes:
            for key in [key for key in self._open if not self._ledger.is_open(key)]:
                self._forget(key)
        return len(outcomes)

    def __len__(self) -> int:
        """Attempts that are held open here: as many as in the ledger."""
        return len(self._open)

    def _next(
        self, call_id: str, deployment: str, now: float, task: asyncio.Task[object] | None
    ) -> AttemptKey:
        key = AttemptKey(call_id, self._ledger.next_attempt(call_id))
        again = False
        if key.attempt:
            before = self._ledger.latest_open(call_id)
            if before is not None and not self._is_anothers(before, task):
                self.close_attempt(before, "next-pick", now, error="Retried")
            again = deployment in self._ledger.tried(call_id)
        self._open[key] = _Open(deployment, again)
        return key

    def _is_anothers(self, key: AttemptKey, task: asyncio.Task[object] | None) -> bool:
        # A retry is made by the task whose attempt failed, a fallback in mid-stream after its end. While
        # that task runs on, a pick by another one is a request of its own under a call id that the client
        # uses again.
        its = self._open[key].task
        return its is not None and not its.done() and its is not task

    def _latest_awaiting(self, call_id: str) -> AttemptKey | None:
        for attempt in range(self._ledger.next_attempt(call_id) - 1, -1, -1):
            key = AttemptKey(call_id, attempt)
            if key in self._awaiting:
                return key
        return None

    def _forget(self, key: AttemptKey) -> None:
        held = self._open.pop(key, None)
        if held is not None and held.task is not None and held.ended is not None:
            held.task.remove_done_callback(held.ended)
