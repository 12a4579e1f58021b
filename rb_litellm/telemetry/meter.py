"""Turns decisions, outcomes and present state into Prometheus metrics, off the request path.

A decision or an outcome costs the request one append to a queue. A periodic task in the event loop works the
queue off once a second, at most MAX_AT_ONCE entries at a time so that it holds nothing up. Nothing is lost at
the queue's bound: the code that fills it works it off.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from rb_litellm.telemetry.records.decision import DecisionRecord

if TYPE_CHECKING:
    from rb_litellm.telemetry.metrics import Metrics

MAX_QUEUE = 4096
"""Decisions and outcomes that may wait to be counted."""
MAX_AT_ONCE = 25
"""Entries that one call of the periodic task counts: about 0.5 ms."""

_log = logging.getLogger("rb_litellm")


@dataclass(frozen=True, slots=True)
class DeploymentFigures:
    """One deployment now, as this worker knows it."""

    deployment: str
    model: str
    in_flight: float = 0.0
    """Open attempts of this worker alone; the tokens too."""
    prefill_tokens: float = 0.0
    decode_tokens: float = 0.0
    wait_s: float = 0.0
    """Predicted from the load of all workers."""
    slowdown: float = 1.0
    slots: float = 0.0
    """Requests that its server runs at once, as learned; inf where there is no such limit."""
    failing: Mapping[str, float] = field(default_factory=dict)
    """Chance that an attempt fails, by kind."""


@dataclass(frozen=True, slots=True)
class DriftFigure:
    """Evidence that one figure of a deployment, or of a model's answers, has left its predictions."""

    model: str
    deployment: str
    """Empty for a figure of the model's answers, on whichever deployment."""
    figure: str
    score: float


@dataclass(frozen=True, slots=True)
class TargetFigure:
    """One target of one owner."""

    owner: str
    target: str
    figures: Mapping[str, float]
    """`bound`, `present`, `best` and `price`."""


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker now; counts are since its start."""

    deployments: Sequence[DeploymentFigures] = ()
    drift: Sequence[DriftFigure] = ()
    targets: Sequence[TargetFigure] = ()
    open_attempts: int = 0
    closed: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    state_age_s: float = 0.0
    peers: int = 0
    redis_up: bool = True
    redis_errors: int = 0
    strategy_active: bool = True
    servers_read: int = 0
    """Servers whose load is read,"""
    servers_failing: int = 0
    """and those that cannot be read."""
    predictors: Sequence[str] = ()
    version: str = ""
    litellm: str = ""
    loop_held: Sequence[tuple[str, float]] = ()
    """Since last told: parts of ours, and seconds for which a piece of work held the event loop."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Requests that wait in the worker, by the model name asked for."""
    hold_ends: Sequence[tuple[str, float]] = ()
    """Since last told: how requests ceased to be held, and for how many seconds they were."""


class Meter:
    """One per worker; `metrics` are the process's series."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._queue: deque[tuple[DecisionRecord, bool]] = deque()
        self._held: deque[tuple[str, float]] = deque(maxlen=MAX_QUEUE)
        self._told: Counter[tuple[str, str]] = Counter()
        self._predictors: set[str] = set()
        self._shown: set[tuple[str, str]] = set()
        self._holding: set[str] = set()
        """Model names of which requests were held when last told."""
        self._drifts: set[tuple[str, str, str]] = set()
        self._failing: set[tuple[str, str, str]] = set()
        """Deployments that have failed, and how."""
        self._working = Lock()

    def decided(self, record: DecisionRecord) -> None:
        """Count a decision."""
        self._put(record, False)

    def finished(self, record: DecisionRecord) -> None:
        """Count the outcome of a decision's attempt, `record.outcome`."""
        self._put(record, True)

    def answered_several(self, model: str, answers: int, became: str) -> None:
        """Count a request of which several answers were asked for."""
        m = self._metrics
        m.best_of.labels(m.model(model), str(answers), became).inc()

    def cascaded(self, first: str, second: str, became: str) -> None:
        """A request that could be answered twice has its answer."""
        m = self._metrics
        m.cascades.labels(m.model(first), m.model(second), became).inc()

    def work_off(self, at_once: int = MAX_AT_ONCE) -> bool:
        """Count queued entries; returns whether more are left."""
        with self._working:
            for _ in range(min(at_once, len(self._queue))):
                record, over = self._queue.popleft()
                (self._count_outcome if over else self._count_decision)(record)
                at_once -= 1
            for _ in range(min(at_once, len(self._held))):
                part, held_s = self._held.popleft()
                self._metrics.loop_hold_s.labels(part).observe(held_s)
        return bool(self._queue or self._held)

    def show(self, now: WorkerFigures) -> None:
        """Set the gauges and update the counters that are kept elsewhere; holds of the loop are queued."""
        m = self._metrics
        named = {(d.model, d.deployment): d for d in now.deployments}
        gone = [DeploymentFigures(name, model) for model, name in self._shown - named.keys()]
        self._shown = set(named)
        for d in (*gone, *now.deployments):
            labels = m.model(d.model), m.deployment(d.deployment)
            m.in_flight.labels(*labels).set(d.in_flight)
            m.pending_tokens.labels(*labels, "prefill").set(d.prefill_tokens)
            m.pending_tokens.labels(*labels, "decode").set(d.decode_tokens)
            m.wait_s.labels(*labels).set(d.wait_s)
            m.slowdown.labels(*labels).set(d.slowdown)
            m.slots.labels(*labels).set(d.slots)
        self._show_failing(now.deployments)
        self._show_drift(now.drift)
        for target in now.targets:
            for figure, value in target.figures.items():
                m.target.labels(m.owner(target.owner), target.target, figure).set(value)
        m.open_attempts.set(now.open_attempts)
        for cause, count in now.closed.items():
            m.closed.labels(cause).inc(self._more("closed", cause, count))
        for what, count in now.failures.items():
            m.failures.labels(what).inc(self._more("failures", what, count))
        m.state_age_s.set(now.state_age_s)
        m.peers.set(now.peers)
        m.redis_up.set(float(now.redis_up))
        m.redis_errors.inc(self._more("redis", "", now.redis_errors))
        m.servers.labels("read").set(now.servers_read)
        m.servers.labels("failing").set(now.servers_failing)
        m.strategy_active.set(float(now.strategy_active))
        for version in self._predictors - set(now.predictors):
            m.predictor.labels(version).set(0.0)
        for version in now.predictors:
            m.predictor.labels(version).set(1.0)
        self._predictors |= set(now.predictors)
        self._held.extend(now.loop_held)
        for model in self._holding - now.held.keys():
            m.held.labels(model).set(0)
        for model, count in now.held.items():
            m.held.labels(m.model(model)).set(count)
        self._holding = {m.model(model) for model in now.held}
        for end, held_s in now.hold_ends:
            m.hold_s.labels(end).observe(held_s)
        m.build.labels(now.version, now.litellm).set(1.0)

    def _show_failing(self, deployments: Sequence[DeploymentFigures]) -> None:
        m = self._metrics
        # Most have never failed, and need no series that says so.
        chances = dict.fromkeys(self._failing, 0.0)
        for d in deployments:
            for kind, chance in d.failing.items():
                labels = m.model(d.model), m.deployment(d.deployment), kind
                if chance > 0.0 or labels in chances:
                    chances[labels] = max(chances.get(labels, 0.0), chance)
        self._failing = set(chances)
        for labels, chance in chances.items():
            m.failure_chance.labels(*labels).set(chance)

    def _show_drift(self, drift: Sequence[DriftFigure]) -> None:
        m = self._metrics
        scores = dict.fromkeys(self._drifts, 0.0)
        for d in drift:
            labels = m.model(d.model), m.deployment(d.deployment) if d.deployment else "", d.figure
            # Figures beyond the bound share their labels; the worst is shown.
            scores[labels] = max(scores.get(labels, 0.0), d.score)
        self._drifts = set(scores)
        for labels, score in scores.items():
            m.drift.labels(*labels).set(score)

    def _put(self, record: DecisionRecord, over: bool) -> None:
        self._queue.append((record, over))
        if len(self._queue) >= MAX_QUEUE:
            self.work_off()

    def _more(self, series: str, label: str, count: int) -> int:
        """How much a count that is kept elsewhere has grown since the last time."""
        more = count - self._told[series, label]
        # It may have been reset.
        more = count if more < 0 else more
        self._told[series, label] = count
        return more

    def _count_decision(self, record: DecisionRecord) -> None:
        m = self._metrics
        model = m.model(record.model)
        m.decisions.labels(model, m.deployment(record.deployment), record.reason, record.fallback).inc()
        if record.effort:
            m.efforts.labels(model, record.effort).inc()
        m.decision_s.observe(record.duration_s)
        m.proxy_s.labels("choosing").observe(record.duration_s)
        # Before a retry pass the attempts that failed, too, which are not the proxy's time.
        if record.before_s is not None and record.attempt == 0:
            m.proxy_s.labels("before").observe(record.before_s)
        if record.prediction is not None:
            m.quality.labels(model).observe(record.prediction.quality)

    def _count_outcome(self, record: DecisionRecord) -> None:
        m, outcome, predicted = self._metrics, record.outcome, record.prediction
        if outcome is not None and outcome.sending_s is not None:
            m.proxy_s.labels("sending").observe(outcome.sending_s)
        # An answer of unknown length (its client left) says nothing about predictions.
        if outcome is None or outcome.error is not None or outcome.output_tokens is None:
            return
        model = m.model(record.model)
        cost_usd = outcome.cost_usd
        if predicted is not None:
            cost_usd = predicted.cost_usd if cost_usd is None else cost_usd
            m.predicted_e2e_s.labels(model).observe(predicted.e2e_s)
            m.measured_e2e_s.labels(model).observe(outcome.open_s)
            m.predicted_tokens.labels(model).observe(predicted.output_tokens)
            m.measured_tokens.labels(model).observe(outcome.output_tokens)
            if outcome.ttft_s is not None:
                m.predicted_ttft_s.labels(model).observe(predicted.ttft_s)
                m.measured_ttft_s.labels(model).observe(outcome.ttft_s)
        if cost_usd is not None and cost_usd >= 0.0:
            m.cost_usd.labels(model).inc(cost_usd)
            self._compare(record, cost_usd)
        for slo, limit_s, measured_s in record.service_levels():
            m.slo_attempts.labels(model, slo).inc()
            if measured_s <= limit_s:
                m.slo_met.labels(model, slo).inc()

    def _compare(self, record: DecisionRecord, cost_usd: float) -> None:
        baseline = record.baseline
        if baseline is not None and baseline.cost_usd >= 0.0:
            m = self._metrics
            m.compared_cost_usd.inc(cost_usd)
            m.baseline_cost_usd.inc(baseline.cost_usd)
            m.baseline_quality.observe(baseline.quality)
            m.baseline_e2e_s.observe(baseline.e2e_s)


def prometheus_meter() -> Meter | None:
    """The meter of this process; None without prometheus-client, or if its metrics cannot be set up."""
    try:
        from rb_litellm.telemetry.metrics import metrics
    except ImportError:
        return None
    try:
        return Meter(metrics())
    except Exception:  # noqa: BLE001  a directory that cannot be written must not stop a worker
        _log.exception(
            "RouteBalance: its Prometheus metrics could not be set up; requests are routed all the same"
        )
        return None
