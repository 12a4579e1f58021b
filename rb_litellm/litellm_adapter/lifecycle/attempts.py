"""From LiteLLM's events to the ledger: what opens an attempt, what closes it, what is learned from it.

LiteLLM says in many ways, and sometimes not at all, that a call is over. The first word closes the
attempt and frees its load; what an answer used often comes later, with the success event, and completes
the outcome (`unsettled`). The two are kept apart so that load is never held for the sake of a measurement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rb_litellm.balancer import Assignment
from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.types import Outcome, Stated
from rb_litellm.litellm_adapter.lifecycle.evidence import TOLD, Usage
from rb_litellm.litellm_adapter.lifecycle.failure_names import CONNECTION, NOT_SENT, failure_name
from rb_litellm.litellm_adapter.lifecycle.unsettled import Unsettled
from rb_litellm.state.attempt import AttemptKey
from rb_litellm.state.ledger import Ledger

MAX_ANSWERS = 32
"""An attempt counts for no more answers, whatever `n` a client asks for."""
_IMPLAUSIBLE = 0.2
"""A first token sooner than this share of the predicted TTFT is learned from only when the answer is over."""
_SHORTER = 0.5
"""An attempt that has been open for less than this share of a call's duration is not that call's."""


@dataclass(slots=True)
class _Open:
    deployment: str
    again: bool
    """The call was on this deployment before, so a failure told of it may be the earlier one's."""
    choices: int = 1
    ours: int = 1
    """Of these, how many are asked for on our behalf."""
    timed: bool = True
    own_account: bool = False
    task: asyncio.Task[object] | None = None
    ended: Callable[[asyncio.Task[object]], None] | None = None


class Attempts:
    """The attempts of this process. Guard with the runtime's lock; times in s on its clock.

    `finished(outcome)` is called once for every attempt, when no more will be learned of it;
    `begun(outcome)` before that, when its first token comes. `amended(outcome)` tells what came to light
    beside that: that an attempt is still open after its lease, or that it was answered after all.
    """

    def __init__(
        self,
        ledger: Ledger,
        finished: Callable[[Outcome], None],
        begun: Callable[[Outcome], None] = lambda _: None,
        amended: Callable[[Outcome], None] = lambda _: None,
        freed: Callable[[], None] = lambda: None,
        waits_for_end: Callable[[Outcome], bool] = lambda _: False,
    ) -> None:
        """`freed()` is called when an attempt is no load any more; `waits_for_end(outcome)` says of one whose
        first token has come whether that teaches more when it is over."""
        self._freed = freed
        self._waits_for_end = waits_for_end
        self._ledger = ledger
        self._finished = finished
        self._begun = begun
        self._amended = amended
        self._unsettled = Unsettled(ledger.next_attempt, finished, amended)
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
        choices: int = 1,
        timed: bool = True,
        own_account: bool = False,
    ) -> AttemptKey:
        """Count a new attempt; an earlier one of the same call and task that is still open has failed.

        `streams` says that its first token will be seen; `task` makes the pick; `choices` is the
        request's `n`; `timed` is False where LiteLLM itself answers, and no server is asked. Of a client's
        `own_account` LiteLLM tells under an id that it makes up.
        """
        key = self._next(call_id, assignment.deployment.id, now, task)
        held, ours = self._open[key], assignment.decision.answers
        held.choices, held.ours, held.timed = max(choices, ours, 1), ours, timed and not own_account
        held.own_account = own_account
        self._ledger.open(
            key,
            assignment.deployment.id,
            now=now,
            input_tokens=input_tokens,
            prediction=assignment.decision.prediction,
            in_flight=assignment.decision.in_flight,
            pending_prefill_tokens=assignment.decision.pending_prefill_tokens,
            streams=streams,
            sent_before=assignment.decision.sent_before,
            saved_tokens=assignment.decision.saved_tokens,
            join_steps=assignment.decision.join_steps,
            level=assignment.level,
            sent_to=assignment.sent_to,
            answers=min(held.choices, MAX_ANSWERS),
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
            ended(key, failure if failure is None or isinstance(failure, str) else failure_name(failure))

        self._open[key].task, self._open[key].ended = task, done
        task.add_done_callback(done)

    def asked(self, call_id: str, deployment: str, now: float) -> float | None:
        """The call's attempt asks its server now; returns the seconds since its pick, if that is news."""
        key = self._open_on(call_id, deployment)
        return None if key is None else self._ledger.asked(key, now)

    def first_token(self, call_id: str, now: float, progress: Progress | None = None) -> None:
        """The first chunk of an answer has come; `progress` says how many, from now on."""
        key = self._ledger.latest_open(call_id)
        outcome = None if key is None else self._ledger.first_token(key, now, progress)
        if outcome is None or key is None:
            return
        held, predicted = self._open[key], outcome.predicted
        early = predicted is not None and outcome.open_s < _IMPLAUSIBLE * predicted.ttft_s
        thinks = outcome.level is not None and outcome.level.effort != ""
        if early or not held.timed or thinks or self._waits_for_end(outcome):
            # Perhaps from a cache, or after thoughts that were not shown: what it is worth is known when the
            # answer is over. Then its server may say, too, how long it waited.
            self._ledger.put_off_first_token(key)
        else:
            self._begun(outcome)

    def effort(self, call_id: str, deployment: str) -> str:
        """The level of effort that the call's open attempt on this deployment was sent at; empty for none."""
        key = self._open_on(call_id, deployment)
        level = None if key is None else self._ledger.level(key)
        return "" if level is None else level.effort

    def answers(self, call_id: str, deployment: str) -> int:
        """How many answers the call's open attempt on this deployment asks for on our behalf."""
        key = self._open_on(call_id, deployment)
        return 1 if key is None else self._open[key].ours

    def without_effort(self, call_id: str, deployment: str) -> None:
        """Forget the level of the call's open attempt on this deployment."""
        key = self._open_on(call_id, deployment)
        if key is not None:
            self._ledger.forget_level(key)

    def _open_on(self, call_id: str, deployment: str) -> AttemptKey | None:
        key = self._ledger.latest_open(call_id, deployment)
        return key if key is not None and self._is_on(key, deployment) else None

    def _is_on(self, key: AttemptKey, deployment: str) -> bool:
        held = self._open[key]
        return held.deployment == deployment or held.own_account

    def close(
        self,
        call_id: str,
        closed_by: str,
        now: float,
        *,
        deployment: str | None = None,
        error: str | None = None,
        ttft_s: float | None = None,
        cut: bool = False,
        stated: Stated | None = None,
        lasted_s: float | None = None,
    ) -> None:
        """Close the open attempt of a call, if it has one; `deployment` is who ended it, where known.

        `cut` says that the client left before the answer was complete, `stated` is what the server says of
        its times. `lasted_s` is how long the call took
        that is over, where that is known: a call that took longer than the open attempt is another one's.
        """
        key = self._ledger.latest_open(call_id, deployment)
        if key is None or self._is_of_earlier(key, now, lasted_s):
            self._unsettled.over(call_id, deployment, now, lasted_s)
            return
        if deployment is not None and not self._is_on(key, deployment):
            # A fallback to a model that is not routed here has answered.
            error = "AnsweredElsewhere"
        self.close_attempt(key, closed_by, now, error=error, ttft_s=ttft_s, cut=cut, stated=stated)

    def failed(self, call_id: str, deployment: str, now: float, error: str, at_once: bool) -> None:
        """Close the call's open attempt if it is surely the one that failed.

        `at_once` says that nothing can have come in between; other words of a failure come late, when
        a retry may be under way on the same deployment.
        """
        key = self._ledger.latest_open(call_id, deployment)
        if key is None or not self._is_on(key, deployment):
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
        cut: bool = False,
        stated: Stated | None = None,
    ) -> None:
        """Close one attempt; a second close of the same changes nothing."""
        outcome = self._ledger.close(key, now, closed_by, error=error, ttft_s=ttft_s)
        if outcome is None:
            return
        if error == NOT_SENT and outcome.sending_s is not None:
            outcome = outcome._replace(error=CONNECTION)
        held = self._open.get(key)
        if held is not None and (cut or held.choices > 1 or not held.timed):
            outcome = outcome._replace(
                cut=cut, choices=held.choices, timed=held.timed, own_account=held.own_account
            )
        self._forget(key)
        if stated is not None:
            outcome = outcome._replace(stated=stated)
        if outcome.error is not None:
            self._finished(outcome)
        else:
            self._unsettled.answered(key, outcome)

    def complete(
        self,
        call_id: str,
        deployment: str | None,
        output_tokens: int | None,
        cost_usd: float | None,
        cached: bool,
        usage: Usage = TOLD,
    ) -> None:
        """Hand on what a successful call used: the outcome is measured and final.

        An answer from a cache has no time and no length to learn from.
        """
        if self._unsettled.complete(call_id, deployment, output_tokens, cost_usd, cached, usage):
            self._ledger.succeeded(call_id)

    def unfinished(self, call_id: str) -> bool:
        """Whether an attempt of the call is open, or waits for what its answer used."""
        return self._ledger.latest_open(call_id) is not None or self._unsettled.has(call_id)

    def give_up_earlier(self, call_id: str, now: float, task: asyncio.Task[object] | None) -> None:
        """A retry of the call is to come, but not yet: what it has open is no load any more."""
        before = self._ledger.latest_open(call_id)
        if before is not None and not self._is_anothers(before, task):
            self._give_up(before, now, task)

    def expire(self, now: float) -> int:
        """Close what is past its lease; returns how many."""
        outcomes = self._ledger.expire(now, self._is_alive, self._still_open)
        for outcome in outcomes:
            self._keep_late(outcome)
            self._finished(self._as_opened(outcome))
        if outcomes:
            for key in [key for key in self._open if not self._ledger.is_open(key)]:
                self._forget(key)
        self._unsettled.age(now)
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
            self.give_up_earlier(call_id, now, task)
            again = deployment in self._ledger.tried(call_id)
        self._open[key] = _Open(deployment, again)
        return key

    def _is_anothers(self, key: AttemptKey, task: asyncio.Task[object] | None) -> bool:
        # A retry is made by the task whose attempt failed, a fallback in mid-stream after its end. While
        # that task runs on, a pick by another one is a request of its own under a call id that the client
        # uses again.
        its = self._open[key].task
        return its is not None and not its.done() and its is not task

    def _is_alive(self, key: AttemptKey) -> bool:
        held = self._open.get(key)
        return held is not None and held.task is not None and not held.task.done()

    def _still_open(self, outcome: Outcome) -> None:
        self._amended(self._as_opened(outcome))

    def _as_opened(self, outcome: Outcome) -> Outcome:
        held = self._open.get(AttemptKey(outcome.call_id, outcome.attempt))
        if held is None or held.timed:
            return outcome
        return outcome._replace(timed=False, own_account=held.own_account)

    def _give_up(self, key: AttemptKey, now: float, task: asyncio.Task[object] | None) -> None:
        """The next pick has come: usually a retry, but it may be another call under the same trace id.

        So where one task makes both picks, the attempt is no load any more, and what it was is left open.
        """
        if task is None:
            self.close_attempt(key, "next-pick", now, error="Retried")
            return
        outcome = self._ledger.close(key, now, "next-pick")
        own_account = self._open[key].own_account
        self._forget(key)
        if outcome is not None:
            self._unsettled.give_up(key, outcome._replace(own_account=True) if own_account else outcome)

    def _is_of_earlier(self, key: AttemptKey, now: float, lasted_s: float | None) -> bool:
        """Whether a call that took so long cannot be the open attempt, but is one that was given up."""
        if lasted_s is None or not self._unsettled.has_given_up(key.call_id):
            return False
        return self._ledger.open_s(key, now) < _SHORTER * lasted_s

    def _keep_late(self, outcome: Outcome) -> None:
        if outcome.closed_by != "lease":
            return
        key = AttemptKey(outcome.call_id, outcome.attempt)
        held = self._open.get(key)
        choices = 1 if held is None else held.choices
        self._unsettled.expired(key, outcome if choices == 1 else outcome._replace(choices=choices))

    def _forget(self, key: AttemptKey) -> None:
        self._freed()
        held = self._open.pop(key, None)
        if held is not None and held.task is not None and held.ended is not None:
            held.task.remove_done_callback(held.ended)
