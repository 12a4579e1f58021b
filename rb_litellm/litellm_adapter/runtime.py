"""What the parts of one worker share: load, latency model, deployments' facts, predictors, counters.

A proxy may have several selectors (its own strategy and those of routing groups) and replaces them when
settings change; the load of its deployments is one and must survive that. So there is one runtime per
process. One lock guards everything here and is held for fractions of a millisecond, because LiteLLM calls
from its event loop and, for synchronous calls, from threads. A runtime knows none of those that use it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from rb_litellm.balancer import Balancer
from rb_litellm.config import (
    PredictorSetting,
    RedisSettingsArgs,
    RouteBalanceSettings,
    ScrapeSettings,
    ShadowEvaluationSettings,
)
from rb_litellm.core.latency.drift import Drift
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.proxy_time import ProxyTime
from rb_litellm.core.limits.capacity import Usage
from rb_litellm.core.servers.prefix_memory import PrefixMemory
from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.shared.catalog import Catalog
from rb_litellm.litellm_adapter.shared.entries.several_answers import RefusedAnswers
from rb_litellm.litellm_adapter.shared.exchange.day_spend import DaySpend
from rb_litellm.litellm_adapter.shared.exchange.failure_share import GuardedFailures
from rb_litellm.litellm_adapter.shared.exchange.fleet_sums import FLUSH_S, FleetSums
from rb_litellm.litellm_adapter.shared.exchange.gauge_exchange import Sharing
from rb_litellm.litellm_adapter.shared.exchange.judge_share import GuardedJudges
from rb_litellm.litellm_adapter.shared.exchange.learned_share import GuardedLearned
from rb_litellm.litellm_adapter.shared.exchange.lone_grades import LoneGrades
from rb_litellm.litellm_adapter.shared.exchange.prefix_share import GuardedPrefixes
from rb_litellm.litellm_adapter.shared.exchange.tally_exchange import TallyExchange
from rb_litellm.litellm_adapter.shared.exchange.target_share import GuardedTargets
from rb_litellm.litellm_adapter.shared.exchange.usage_share import GuardedUsage
from rb_litellm.litellm_adapter.shared.feedback_file import FeedbackBox
from rb_litellm.litellm_adapter.shared.origins import Origins
from rb_litellm.litellm_adapter.shared.predictor_folders import Predictors
from rb_litellm.litellm_adapter.shared.second_answers import SecondAnswers
from rb_litellm.litellm_adapter.shared.server_scraping import Scraping
from rb_litellm.litellm_adapter.shared.upkeep.deferred import DeferredActions
from rb_litellm.litellm_adapter.shared.upkeep.hub_stalls import HubNotice, hub_is_off
from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask
from rb_litellm.litellm_adapter.shared.weights_notice import WeightsNotice
from rb_litellm.predictors.ability_learning import AbilityLearning
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.outcomes import OutcomeRing
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.state.servers.external_load import ExternalLoad
from rb_litellm.state.servers.scraper import ServerStatus
from rb_litellm.telemetry.counters import Counters
from rb_litellm.telemetry.meter import prometheus_meter
from rb_litellm.telemetry.records.recorder import Recorder

LEARN_WITHIN_S = 0.1
FORGOTTEN_AT_ONCE = 50
"""Deployments, which takes some 3 ms."""

_log = logging.getLogger("rb_litellm")


class Runtime:
    """See the module. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, random: Random | None = None) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.random = random or Random()
        self.catalog = Catalog()
        self.counters = Counters()
        self.outcomes = OutcomeRing()
        self.meter = prometheus_meter()
        self.recorder = Recorder(self.meter)
        self.feedback = FeedbackBox()
        self.learning = AbilityLearning(KINDS)
        self._lone_grades = LoneGrades(self.learning)
        self.judges = GuardedJudges(self.lock)
        self.refused_answers = RefusedAnswers()
        self.second_answers = SecondAnswers()
        self.shadow_evaluation: ShadowEvaluationSettings | None = None
        self.drift = Drift()
        """How surely each deployment and model has left what is predicted of it."""
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        memory = PrefixMemory()
        self.origins = Origins()
        """Who wrote the last part of each agent's loop."""
        usage = Usage()
        self.proxy_time = ProxyTime(clock)
        """What requests wait for before their servers are asked; under the lock."""
        self.sharing = Sharing(
            self.index,
            self.ledger,
            GuardedPrefixes(memory.index, self.lock),
            GuardedUsage(usage, self.lock),
        )
        self.external_load = ExternalLoad()
        self.reckoner = Reckoner(self.index, self.ledger, self.sharing.peers, self.external_load)
        self.scraping = Scraping(self.index, self.catalog, self.external_load, self._told)
        self.balancer = Balancer(self.reckoner, LatencyLearner(), self.random, memory, usage)
        self.sharing.failures = GuardedFailures(self.balancer.beliefs, self.lock)
        self.sharing.learned = GuardedLearned(self.balancer.beliefs, self.lock, clock)
        self.sharing.grades = self.learning
        self.sharing.judges = self.judges
        self.targets = GuardedTargets(self.lock)
        self.sharing.targets = self.targets
        self.day_spend = DaySpend(self.lock)
        self.minute_requests = FleetSums(self.lock, "requests", 60.0)
        """Requests of this minute by the key, team or model name that bounds them."""
        self.tallies = TallyExchange(
            (self.day_spend.sums, self.minute_requests), partial(self.failed, "fleet sums")
        )
        self._summing = PeriodicTask(FLUSH_S, self._flush_sums)
        self._learning = DeferredActions(LEARN_WITHIN_S, self.guarded, "learning")
        self.balancer.beliefs.later = self._learning.add
        self._predictors = Predictors(partial(self.failed, "predictor"), self.learning)
        self._redis = RedisSettingsArgs()
        self._scrape: ScrapeSettings | None = None
        self._weights_notice = WeightsNotice()
        self._hub_notice = HubNotice()

    def adopt(self, settings: RouteBalanceSettings, router: Any) -> None:
        """Take the process-wide settings of a selector that is being built: of each the last one stated.

        What one routing group states holds for all, for their load is one; a group that is silent of it
        changes nothing.
        """
        with self.lock:
            redis = settings.redis if "redis" in settings.model_fields_set else self._redis
            # First, for it may refuse.
            self.sharing.configure(redis, router)
            self._redis = redis
            if settings.seed is not None:
                self.random.seed(settings.seed)
            if "lease" in settings.model_fields_set:
                lease = settings.lease
                self.ledger.lease = LeaseRule(lease.factor, lease.floor_s, lease.ceiling_s)
            if "baseline" in settings.model_fields_set:
                self.recorder.baseline.model = settings.baseline
            if "scrape" in settings.model_fields_set:
                self._scrape = settings.scrape
            if "shadow_evaluation" in settings.model_fields_set:
                self.shadow_evaluation = settings.shadow_evaluation
            if "feedback" in settings.model_fields_set:
                self.feedback.settings = settings.feedback
                self.learning.on = settings.feedback is not None and settings.feedback.learn
            entries = getattr(router, "model_list", None) or ()
            self._weights_notice.tell(entries)
            self._hub_notice.tell(entries, hub_is_off())
            # What other workers tell of a deployment is understood once it has a row here.
            self.catalog.default_parallel(getattr(router, "default_max_parallel_requests", None))
            for deployment in self.catalog.facts(entries):
                self.index.place(deployment.id, deployment.server)
            self.scraping.configure(self._scrape, router)

    def ensure_started(self) -> None:
        """Exchange loads, read servers and look at predictors' folders where a loop runs. Cheap."""
        self.sharing.ensure_started()
        self.scraping.ensure_started(self.reckoner)
        self._summing.ensure_started()
        self._predictors.ensure_started()

    def graded(self, call_id: str, grade: float) -> None:
        """A user has graded the answer of a call, in [0, 1]."""
        self.learning.grade(call_id, grade)
        self.judges.graded(call_id, grade)

    def settle_grades(self) -> None:
        """Take up users' grades where no exchange with other workers does."""
        status = self.sharing.status()
        if status is None or status.mode == "memory":
            self._lone_grades.settle()

    def forget_gone(self, served: Collection[str]) -> bool:
        """What is kept of deployments makes room, except of those that are `served`, that a request could go
        to lately, and on which something is open. True where more are left to be forgotten a moment later.

        Guard with the lock.
        """
        self.learn_now()
        living = {*served, *self.catalog.met(), *self.ledger.open_on()}
        gone = [deployment for deployment in self.index.ids if deployment and deployment not in living]
        living.update(gone[FORGOTTEN_AT_ONCE:])
        self.ledger.forget(living)
        self.balancer.forget(living, self.index.forget(living))
        return len(gone) > FORGOTTEN_AT_ONCE

    def prediction_source(
        self, settings: PredictorSetting, entries: Sequence[Mapping[str, Any]] = ()
    ) -> PredictionSource:
        """The predictor at the configured folder, read once per process and again when it changes; `entries`
        are LiteLLM's of `model_list`.

        Raises:
            PredictorError: the folder is missing, corrupt or of another version.
            SettingsError: a model is mapped to one that the predictor does not know, or a name may mean
                several models.
        """
        return self._predictors.source(settings, entries)

    def load_loops(self) -> None:
        """Load compiled loops, where numba is installed. Blocks meanwhile."""
        self._predictors.load_loops()

    def predictor_versions(self) -> list[str]:
        """Versions of the predictors in use."""
        return self._predictors.versions()

    def finished(self, outcome: Outcome) -> None:
        """An attempt is over and all is known of it that will be: keep it, and learn from it soon."""
        self.outcomes.add(outcome)
        self._learning.add(partial(self._learn, outcome))

    def amended(self, outcome: Outcome) -> None:
        """More has come to light of an attempt that was finished, or is late: learn from it soon."""
        self._learning.add(partial(self.balancer.beliefs.learn, outcome))

    def begun(self, outcome: Outcome) -> None:
        """The first token of an attempt has come: learn from it soon."""
        self._learning.add(partial(self.balancer.beliefs.first_token, outcome))

    def learn_now(self) -> None:
        """Learn now what waits to be learned. Guard with the lock."""
        self._learning.work_off()

    def guarded(self, action: Callable[[], None]) -> None:
        """Run bookkeeping under the lock; what it raises is counted and goes no further."""
        try:
            with self.lock:
                action()
        except Exception as error:  # noqa: BLE001  bookkeeping must not reach the client
            self.failed("bookkeeping", error)

    def refused(self, reason: str) -> None:
        """Count a request that is answered with a refusal."""
        with self.lock:
            self.counters.refusals[reason] += 1

    def failed(self, what: str, error: Exception) -> None:
        """Count an internal error."""
        self.counters.failure(what, error, self.clock())

    def _flush_sums(self) -> None:
        """Tell and read what days have cost and minutes have asked, where workers share a Redis."""
        try:
            self.tallies.flush(self.sharing.redis, self.sharing.status())
        except Exception as error:  # noqa: BLE001  a chore must not raise
            self.failed("fleet sums", error)

    def _told(self, deployments: Sequence[str], server: ServerStatus) -> None:
        """A server has told its load, its slots or its context window."""
        with self.lock:
            self.balancer.beliefs.stated_window(deployments, server.window)
            if server.slots is not None:
                self.balancer.beliefs.stated_slots(deployments, server.slots)
            if (load := server.load) is not None:
                self.balancer.beliefs.told_load(deployments, load.running, load.waiting, load.cache_use)

    def _learn(self, outcome: Outcome) -> None:
        if outcome.error is None and outcome.timed:
            self.scraping.answered(outcome.deployment)
        self.targets.finished(outcome)
        self.day_spend.finished(outcome)
        self.balancer.beliefs.learn(outcome)
        # It counts for when it came, not for when there was time to learn from it.
        self.balancer.capacity_use.settle(outcome, self.clock() if outcome.at_s is None else outcome.at_s)
        for change in self.drift.learn(outcome, self.catalog.group_of(outcome.deployment)):
            named = replace(
                change,
                name=self.catalog.name_of(change.name),
                predictor=bool(self._predictors.versions()),
            )
            _log.log(logging.WARNING if change.drifting else logging.INFO, "RouteBalance: %s", named)
