"""The books of one worker: every attempt is opened at its pick, and closed by the first word of its end.

The strategy opens attempts, LiteLLM's callbacks close them. Both work on the runtime's ledger, under its
lock.
A `call_id` of None is a request that was never ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from rb_litellm.balancer import Assignment
from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.limits.quota import REMAINING
from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.lifecycle.attempts import Attempts
from rb_litellm.litellm_adapter.lifecycle.calls import Calls
from rb_litellm.litellm_adapter.lifecycle.evidence import TOLD, Usage
from rb_litellm.litellm_adapter.lifecycle.publish_decision import DecisionPublisher
from rb_litellm.litellm_adapter.lifecycle.request_end import until_request_ends
from rb_litellm.litellm_adapter.lifecycle.usage import stated_times
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.runtime import Runtime
from rb_litellm.telemetry.records.decision import DecisionRecord

EXPIRE_EVERY_S = 1.0


class Accounting:
    """One per worker."""

    def __init__(
        self,
        runtime: Runtime,
        record: Callable[[dict[str, Any], dict[str, Any]], None],
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """`record(request_kwargs, decision)` leaves a decision in a request's metadata.

        `freed()` is called when an attempt has ended, perhaps in another thread; it must not raise.
        """
        self._runtime = runtime
        self.publisher = DecisionPublisher(
            runtime.recorder, runtime.guarded, partial(runtime.failed, "records"), record
        )
        self._calls = Calls()
        self._attempts = Attempts(
            runtime.ledger,
            self._finished,
            runtime.begun,
            runtime.amended,
            freed,
            runtime.balancer.beliefs.waits_for_end,
        )
        self._expired_at = runtime.clock()

    # At a pick

    def call_id(self, request_kwargs: dict[str, Any] | None) -> str:
        """The id that links the picks and callbacks of one call."""
        with self._runtime.lock:
            return self._calls.id_of(request_kwargs)

    def tried(self, call_id: str) -> frozenset[str]:
        """Deployments that this call has failed on before."""
        with self._runtime.lock:
            return self._runtime.ledger.failed(call_id)

    def give_up_earlier(self, arrival: Arrival) -> None:
        """The pick of this retry is put off: what the call has open is no load any more."""
        runtime = self._runtime
        runtime.guarded(
            lambda: self._attempts.give_up_earlier(arrival.known_id, runtime.clock(), arrival.task)
        )

    def open_attempt(
        self,
        arrival: Arrival,
        assignment: Assignment,
        predictor: str | None,
        now: float,
        would: Assignment | Refusal | None = None,
    ) -> int:
        """Count an assigned request as load and keep the record of its decision; `now` on the clock.

        In shadow mode, `would` is what would have been decided. Returns the number of the attempt.
        """
        call_id, runtime = arrival.known_id, self._runtime
        with runtime.lock:
            tried = runtime.ledger.tried(call_id)
            key = self._attempts.open(
                call_id,
                assignment,
                round(assignment.decision.prefill_tokens),
                now,
                arrival.stream,
                arrival.task,
                arrival.choices,
                timed=arrival.timed and not assignment.deployment.mocked,
                own_account=arrival.own_account,
            )
            self._watch(key, arrival.task, arrival.stream)
            runtime.counters.decisions += 1
            runtime.learning.remember(call_id, assignment.gradable)
            proxy_time = runtime.proxy_time
            proxy_time.measured("choosing", time.perf_counter() - arrival.at)
            if arrival.before_s is not None and key.attempt == 0:
                proxy_time.measured("before", arrival.before_s)
            self.publisher.decided(
                arrival,
                assignment,
                attempt=key.attempt,
                tried=tried,
                predictor=predictor,
                state_age_s=runtime.sharing.age_s(now),
                sending_s=proxy_time.expected_s("sending"),
                would=would,
            )
            # Threads without an event loop have nobody else to do it.
            self.expire()
        return key.attempt

    def open_unpredicted(self, arrival: Arrival, entry: dict[str, Any], candidates: int) -> None:
        """Count a request that the fallback rule has placed on this LiteLLM entry."""
        runtime, deployment = self._runtime, str(entry["model_info"]["id"])
        if arrival.call_id is None and arrival.task is None:
            # Neither a callback nor the end of a task would tell that it is over.
            return
        with runtime.lock:
            # Not even its id may have been found out.
            arrival.call_id = arrival.call_id or uuid4().hex
            tried = runtime.ledger.tried(arrival.call_id)
            key = self._attempts.open_unpredicted(arrival.call_id, deployment, runtime.clock(), arrival.task)
            self._watch(key, arrival.task, arrival.stream)
            self.publisher.fell_back(
                arrival,
                deployment=deployment,
                model=str(entry.get("model_name", "")),
                candidates=candidates,
                attempt=key.attempt,
                tried=tried,
            )

    # From LiteLLM's callbacks

    def asked(self, call_id: str | None, deployment: str | None) -> None:
        """LiteLLM calls the server of this deployment now."""
        if call_id is None or deployment is None:
            return
        runtime = self._runtime

        def note() -> None:
            sending_s = self._attempts.asked(call_id, deployment, runtime.clock())
            if sending_s is not None:
                runtime.proxy_time.measured("sending", sending_s)

        runtime.guarded(note)

    def effort(self, call_id: str | None, deployment: str) -> str:
        """The level of effort that the call's attempt on this deployment was chosen for; empty for none."""
        if call_id is None:
            return ""
        with self._runtime.lock:
            return self._attempts.effort(call_id, deployment)

    def answers(self, call_id: str | None, deployment: str) -> int:
        """How many answers the call's attempt on this deployment asks for on our behalf."""
        if call_id is None:
            return 1
        with self._runtime.lock:
            return self._attempts.answers(call_id, deployment)

    def without_effort(self, call_id: str | None, deployment: str | None) -> None:
        """The level was not asked for after all: what comes of the attempt says nothing of it."""
        if call_id is None or deployment is None:
            return
        with self._runtime.lock:
            self._attempts.without_effort(call_id, deployment)

    def first_token(self, call_id: str | None, progress: Progress | None = None) -> None:
        """The first chunk of a stream has come; `progress` says how many, from now on."""
        if call_id is not None:
            now = self._runtime.clock()
            self._runtime.guarded(lambda: self._attempts.first_token(call_id, now, progress))

    def closed(
        self,
        call_id: str | None,
        closed_by: str,
        error: str | None = None,
        cut: bool = False,
        last_chunk: object = None,
    ) -> None:
        """The call's open attempt is over, its usage not known (yet); `cut` where its client left it.

        `last_chunk` of its stream may say how long the server took.
        """
        if call_id is None:
            return
        now = self._runtime.clock()

        def note() -> None:
            stated = stated_times(last_chunk)
            self._attempts.close(call_id, closed_by, now, error=error, cut=cut, stated=stated)

        self._runtime.guarded(note)

    def attempt_failed(self, call_id: str | None, deployment: str, error: str, at_once: bool) -> None:
        """An attempt on this deployment has failed: just now, or perhaps a while ago."""
        if call_id is not None:
            now = self._runtime.clock()
            self._runtime.guarded(lambda: self._attempts.failed(call_id, deployment, now, error, at_once))

    def watch_request(self, call_id: str | None) -> None:
        """Close what is open of the call when its request ends, which the running task serves."""
        if call_id is None or (task := asyncio.current_task()) is None:
            return
        until_request_ends(
            task,
            lambda error: self.closed(call_id, "request-end", error=error),
        )

    def answered(
        self,
        call_id: str | None,
        closed_by: str,
        deployment: str | None,
        output_tokens: int | None,
        cost_usd: float | None,
        cached: bool,
        ttft_s: float | None = None,
        lasted_s: float | None = None,
        usage: Usage = TOLD,
    ) -> None:
        """The call was answered by this deployment, with this usage.

        `lasted_s` is how long it took, by LiteLLM's account.
        """
        if call_id is None:
            return

        def note() -> None:
            now = self._runtime.clock()
            self._attempts.close(
                call_id, closed_by, now, deployment=deployment, ttft_s=ttft_s, lasted_s=lasted_s
            )
            self._attempts.complete(call_id, deployment, output_tokens, cost_usd, cached, usage)
            self._calls.succeeded(call_id)

        self._runtime.guarded(note)

    def told_quota(self, deployment: str, headers: Mapping[str, object]) -> None:
        """An answer of this deployment came with these headers, which may say what is left of its quota."""
        if any(name.endswith(REMAINING) for name in headers):
            runtime = self._runtime
            runtime.guarded(lambda: runtime.balancer.beliefs.told_quota(deployment, headers, runtime.clock()))

    # To look at

    def unfinished(self, call_id: str | None) -> bool:
        """Whether anything of the call is open, or waits for what its answer used."""
        if call_id is None:
            return False
        with self._runtime.lock:
            return self._attempts.unfinished(call_id) or call_id in self._calls

    @property
    def watched(self) -> int:
        """Attempts that are followed until their end: as many as the ledger has open."""
        return len(self._attempts)

    async def written(self, call_id: str | None) -> DecisionRecord | None:
        """The record of the last decision of a call, with its outcome if there is one.

        What is still to be written of it is waited for.
        """
        if call_id is None:
            return None
        await self.all_written(call_id)
        with self._runtime.lock:
            return self.publisher.written.latest(call_id)

    async def all_written(self, call_id: str | None = None) -> None:
        """Wait until what is to be written of a call, or of any, is written; the event loop goes on."""
        with self._runtime.lock:
            unwritten = self.publisher.unwritten(call_id)
        if unwritten is not None:
            await unwritten

    def decision(self, call_id: str | None) -> DecisionRecord | None:
        """The same at once, for which all that is still to be written is written now."""
        if call_id is None:
            return None
        with self._runtime.lock:
            return self.publisher.log.latest(call_id)

    # Inside

    def expire(self) -> None:
        """Close what is past its lease, once in EXPIRE_EVERY_S. Guard with the runtime's lock."""
        now = self._runtime.clock()
        if now - self._expired_at >= EXPIRE_EVERY_S:
            self._expired_at = now
            self._runtime.counters.expired += self._attempts.expire(now)

    def _watch(self, key: Any, task: asyncio.Task[Any] | None, stream: bool) -> None:
        if task is None:
            return

        def ended(over: Any, error: str | None) -> None:
            # The task that opens a stream ends when the stream begins.
            if error is not None or not stream:
                now = self._runtime.clock()
                self._runtime.guarded(
                    lambda: self._attempts.close_attempt(over, "task-end", now, error=error)
                )

        self._attempts.watch(key, task, ended)

    def _finished(self, outcome: Outcome) -> None:
        self.publisher.finished(outcome)
        self._runtime.finished(outcome)
