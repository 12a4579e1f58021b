"""What all selectors of a process share: load, latency model, deployments' facts, callbacks.

A proxy may have several selectors (its own strategy and those of routing groups) and replaces them when
settings change; the load of its deployments is one and must survive that. So there is one runtime per
process. Everything here is guarded by one lock that is held for fractions of a millisecond, because
LiteLLM calls from its event loop and, for synchronous calls, from threads.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

from rb_litellm.balancer import MAX_LOOKED, Assignment, Balancer
from rb_litellm.config import (
    PredictorSettings,
    RedisSettingsArgs,
    RouteBalanceSettings,
    ScrapeSettings,
)
from rb_litellm.controls import Planner
from rb_litellm.core.breakdown import Refusal
from rb_litellm.core.drift import Drift
from rb_litellm.core.latency_learning import LatencyLearner
from rb_litellm.core.prefix_memory import PrefixMemory
from rb_litellm.core.streams import Progress
from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.hosts.python_router import selector_for
from rb_litellm.litellm_adapter.lifecycle.attempts import Attempts
from rb_litellm.litellm_adapter.lifecycle.calls import Calls
from rb_litellm.litellm_adapter.lifecycle.publish_decision import DecisionPublisher
from rb_litellm.litellm_adapter.proxy.hot_reload import Reloading
from rb_litellm.litellm_adapter.proxy.metrics_report import Reporting
from rb_litellm.litellm_adapter.proxy.routes import mount
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.shared.catalog import Catalog
from rb_litellm.litellm_adapter.shared.deferred import DeferredActions
from rb_litellm.litellm_adapter.shared.feedback_file import FeedbackBox
from rb_litellm.litellm_adapter.shared.gauge_exchange import Sharing
from rb_litellm.litellm_adapter.shared.gc_tuning import GcTuning
from rb_litellm.litellm_adapter.shared.predictor_folders import Predictors
from rb_litellm.litellm_adapter.shared.prefix_share import GuardedPrefixes
from rb_litellm.litellm_adapter.shared.server_scraping import Scraping
from rb_litellm.litellm_adapter.shared.throttle import Throttle
from rb_litellm.litellm_adapter.shared.timers import PeriodicTask
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.foreign import Foreign
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import LeaseRule, Ledger
from rb_litellm.state.outcomes import OutcomeRing
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.telemetry.counters import Counters
from rb_litellm.telemetry.decision import DecisionRecord
from rb_litellm.telemetry.recorder import Recorder

EXPIRE_EVERY_S = 1.0
ENSURE_EVERY_S = 1.0
LEARN_WITHIN_S = 0.1

_log = logging.getLogger("rb_litellm")
_runtime: Runtime | None = None
_creation = threading.Lock()


def runtime() -> Runtime:
    """The runtime of this process, made at first use."""
    global _runtime
    with _creation:
        if _runtime is None:
            _runtime = Runtime()
        return _runtime


class Runtime:
    """See the module. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, random: Random | None = None) -> None:
        from rb_litellm.litellm_adapter.lifecycle.callbacks import Lifecycle

        self.clock = clock
        self.lock = threading.RLock()
        self.catalog = Catalog()
        self.counters = Counters()
        self.outcomes = OutcomeRing()
        self.reporting = Reporting(self)
        self.recorder = Recorder(self.reporting.meter)
        self.publisher = DecisionPublisher(self.recorder, self._guarded, partial(self._failed, "records"))
        self.feedback = FeedbackBox()
        self.drift = Drift()
        """How surely each deployment and model has left what is predicted of it."""
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        memory = PrefixMemory()
        self.sharing = Sharing(self.index, self.ledger, GuardedPrefixes(memory.index, self.lock))
        self.foreign = Foreign()
        self.reckoner = Reckoner(self.index, self.ledger, self.sharing.peers, self.foreign)
        self.scraping = Scraping(self.index, self.catalog, self.foreign)
        self._random = random or Random()
        self.balancer = Balancer(self.reckoner, LatencyLearner(), self._random, memory)
        self.lifecycle = Lifecycle(self)
        self._calls = Calls()
        self._learning = DeferredActions(LEARN_WITHIN_S, self._guarded)
        self._attempts = Attempts(
            self.ledger,
            self._finished,
            lambda outcome: self._learning.add(partial(self.balancer.first_token, outcome)),
        )
        self._expired_at = clock()
        self._mounted = False
        self._reloading = Reloading()
        self._ensure = Throttle(ENSURE_EVERY_S, clock)
        self._gc_tuning = GcTuning()
        self._housekeeping = PeriodicTask(EXPIRE_EVERY_S, lambda: self._guarded(self._keep_house))
        self._predictors = Predictors(partial(self._failed, "predictor"))
        self._redis = RedisSettingsArgs()
        self._scrape: ScrapeSettings | None = None

    # At start

    def adopt(self, settings: RouteBalanceSettings, router: Any) -> None:
        """Take the process-wide settings of a selector that is being built: of each the last one stated.

        What one routing group states holds for all, for their load is one; a group that is silent of it
        changes nothing.
        """
        with self.lock:
            if settings.seed is not None:
                self._random.seed(settings.seed)
            if "lease" in settings.model_fields_set:
                lease = settings.lease
                self.ledger.lease = LeaseRule(lease.factor, lease.floor_s, lease.ceiling_s)
            if "baseline" in settings.model_fields_set:
                self.recorder.baseline.model = settings.baseline
            if "redis" in settings.model_fields_set:
                self._redis = settings.redis
            if "scrape" in settings.model_fields_set:
                self._scrape = settings.scrape
            if "feedback" in settings.model_fields_set:
                self.feedback.settings = settings.feedback
            # What other workers tell of a deployment is understood once it has a row here.
            for entry in getattr(router, "model_list", None) or ():
                self.index.row(str(entry["model_info"]["id"]))
            self.sharing.configure(self._redis, router)
            self.scraping.configure(self._scrape, router)
        self.ensure_started()

    def prediction_source(self, settings: PredictorSettings | None) -> PredictionSource:
        """The predictor at the configured folder, read once per process and again when it changes.

        Raises:
            PredictorError: the folder is missing, corrupt or of another version.
            SettingsError: a model is mapped to one that the predictor does not know.
        """
        return self._predictors.source(settings)

    def predictor_versions(self) -> list[str]:
        """Versions of the predictors in use."""
        return self._predictors.versions()

    def ensure_started(self) -> None:
        """Hook in callbacks and endpoints; start the exchange with other workers where a loop runs. Cheap."""
        import litellm

        self._mounted = self._mounted or mount(self)
        if not any(callback is self.lifecycle for callback in litellm.callbacks):
            litellm.logging_callback_manager.add_litellm_callback(self.lifecycle)
        self.sharing.ensure_started()
        self.scraping.ensure_started(self.reckoner)
        self._housekeeping.ensure_started()
        self._reloading.ensure_started()
        self._predictors.ensure_started()
        self.reporting.ensure_started()

    def keep_started(self) -> None:
        """`ensure_started` for every request: in full once a second, in a new loop, or without our callback.

        LiteLLM makes its list of callbacks anew when settings change.
        """
        import litellm

        if self._ensure.due() or self.lifecycle not in litellm.callbacks:
            self.ensure_started()

    # Before and at a pick

    def planner_for(self, data: Mapping[str, Any]) -> Planner | None:
        """Who decides a request of the proxy in this process; None if that is not one of our selectors."""
        router = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
        selector = selector_for(router, data.get("model"), data)
        return None if selector is None else selector.planner

    def call_id(self, request_kwargs: dict[str, Any] | None) -> str:
        """The id that links the picks and callbacks of one call."""
        with self.lock:
            return self._calls.id_of(request_kwargs)

    def tried(self, call_id: str) -> frozenset[str]:
        """Deployments that this call has failed on before."""
        with self.lock:
            return self.ledger.failed(call_id)

    def open_attempt(
        self,
        arrival: Arrival,
        assignment: Assignment,
        predictor: str | None,
        now: float,
        would: Assignment | Refusal | None = None,
    ) -> None:
        """Count an assigned request as load and keep the record of its decision; `now` on our clock.

        In shadow mode, `would` is what would have been decided.
        """
        call_id = arrival.known_id
        with self.lock:
            tried = self.ledger.tried(call_id)
            key = self._attempts.open(
                call_id,
                assignment,
                round(assignment.decision.prefill_tokens),
                now,
                arrival.stream,
                arrival.task,
            )
            self._watch(key, arrival.task, arrival.stream)
            self.counters.decisions += 1
            self.publisher.decided(
                arrival,
                assignment,
                attempt=key.attempt,
                tried=tried,
                predictor=predictor,
                state_age_s=self.sharing.age_s(now),
                would=would,
            )
            # Threads without an event loop have nobody else to do it.
            self._expire()

    def fewest_open(
        self, arrival: Arrival, healthy: Sequence[dict[str, Any]], error: Exception
    ) -> dict[str, Any]:
        """The simple rule for when the decision failed: fewest open attempts, ties at random.

        A deployment that the call has failed on waits for the others. Never raises.
        """
        self.counters.failure("decision", error, self.clock())
        chosen = healthy[0]
        try:
            with self.lock:
                failed = self.ledger.failed(arrival.call_id) if arrival.call_id else ()
                ids = {str(entry["model_info"]["id"]): entry for entry in healthy}
                untried = [id_ for id_ in ids if id_ not in failed] or list(ids)
                counts = {id_: self.ledger.open_count(id_) for id_ in untried}
                least = min(counts.values())
                chosen = ids[self._random.choice([id_ for id_, n in counts.items() if n == least])]
                self._open_unpredicted(arrival, chosen, len(healthy))
        except Exception as failure:  # noqa: BLE001  uncounted is better than unrouted
            self.counters.failure("bookkeeping", failure, self.clock())
        return chosen

    def _open_unpredicted(self, arrival: Arrival, entry: dict[str, Any], candidates: int) -> None:
        deployment = str(entry["model_info"]["id"])
        # Not even its id may have been found out.
        arrival.call_id = arrival.call_id or uuid4().hex
        tried = self.ledger.tried(arrival.call_id)
        key = self._attempts.open_unpredicted(arrival.call_id, deployment, self.clock(), arrival.task)
        self._watch(key, arrival.task, arrival.stream)
        self.publisher.fell_back(
            arrival,
            deployment=deployment,
            model=str(entry.get("model_name", "")),
            candidates=candidates,
            attempt=key.attempt,
            tried=tried,
        )

    # From LiteLLM's callbacks; `call_id` None is a request that was never ours

    def first_token(self, call_id: str | None, progress: Progress | None = None) -> None:
        """The first chunk of a stream has come; `progress` says how many, from now on."""
        if call_id is not None:
            self._guarded(lambda: self._attempts.first_token(call_id, self.clock(), progress))

    def closed(self, call_id: str | None, closed_by: str, error: str | None = None) -> None:
        """The call's open attempt is over, its usage not known (yet)."""
        if call_id is not None:
            self._guarded(lambda: self._attempts.close(call_id, closed_by, self.clock(), error=error))

    def attempt_failed(self, call_id: str | None, deployment: str, error: str, at_once: bool) -> None:
        """An attempt on this deployment has failed: just now, or perhaps a while ago."""
        if call_id is not None:
            self._guarded(lambda: self._attempts.failed(call_id, deployment, self.clock(), error, at_once))

    def watch_request(self, call_id: str | None) -> None:
        """Close what is open of the call when the running task ends: it serves the call's whole request."""
        if call_id is None or (task := asyncio.current_task()) is None:
            return

        def ended(over: asyncio.Task[Any]) -> None:
            # Exceptions of this task are the server's to retrieve.
            self.closed(call_id, "request-end", error="CancelledError" if over.cancelled() else None)

        task.add_done_callback(ended)

    def answered(
        self,
        call_id: str | None,
        closed_by: str,
        deployment: str | None,
        output_tokens: int | None,
        cost_usd: float | None,
        cached: bool,
        ttft_s: float | None = None,
    ) -> None:
        """The call was answered by this deployment, with this usage."""
        if call_id is None:
            return

        def note() -> None:
            self._attempts.close(call_id, closed_by, self.clock(), deployment=deployment, ttft_s=ttft_s)
            self._attempts.complete(call_id, deployment, output_tokens, cost_usd, cached)
            self._calls.succeeded(call_id)

        self._guarded(note)

    def unfinished(self, call_id: str | None) -> bool:
        """Whether anything of the call is open, or waits for what its answer used."""
        if call_id is None:
            return False
        with self.lock:
            return self._attempts.unfinished(call_id) or call_id in self._calls

    @property
    def watched(self) -> int:
        """Attempts that are followed until their end: as many as the ledger has open."""
        return len(self._attempts)

    def decision(self, call_id: str | None) -> DecisionRecord | None:
        """The record of the last decision of a call."""
        if call_id is None:
            return None
        with self.lock:
            return self.publisher.log.latest(call_id)

    # Inside

    def _watch(self, key: Any, task: asyncio.Task[Any] | None, stream: bool) -> None:
        if task is None:
            return

        def ended(over: Any, error: str | None) -> None:
            # The task that opens a stream ends when the stream begins.
            if error is not None or not stream:
                self._guarded(
                    lambda: self._attempts.close_attempt(over, "task-end", self.clock(), error=error)
                )

        self._attempts.watch(key, task, ended)

    def _keep_house(self) -> None:
        self._expire()
        self.balancer.look(self.ledger.streams(MAX_LOOKED), self.clock())
        # By its first decision a worker has loaded what it ever will.
        if self.counters.decisions:
            self._gc_tuning.settle()

    def _expire(self) -> None:
        now = self.clock()
        if now - self._expired_at >= EXPIRE_EVERY_S:
            self._expired_at = now
            self.counters.expired += self._attempts.expire(now)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            with self.lock:
                action()
        except Exception as error:  # noqa: BLE001  bookkeeping must not reach the client
            self.counters.failure("bookkeeping", error, self.clock())

    def _finished(self, outcome: Outcome) -> None:
        self.outcomes.add(outcome)
        self.publisher.finished(outcome)
        self._learning.add(partial(self._learn, outcome))

    def _learn(self, outcome: Outcome) -> None:
        self.balancer.learn(outcome)
        for change in self.drift.learn(outcome, self.catalog.group_of(outcome.deployment)):
            _log.log(logging.WARNING if change.drifting else logging.INFO, "RouteBalance: %s", change)

    def _failed(self, what: str, error: Exception) -> None:
        self.counters.failure(what, error, self.clock())
