"""The Prometheus metrics: names, labels, buckets, and how the figures of several workers are merged.

They are in prometheus-client's default registry, so LiteLLM's `/metrics` shows them. With several workers
every figure is also written to files below PROMETHEUS_MULTIPROC_DIR, from which any worker answers for all.
Loads are each worker's own and are summed over live workers. What a worker merely knows, such as an age or a
wait, is shown as the worst of them.

Label values are bounded: MAX_DEPLOYMENTS deployments and MAX_MODELS models; the rest counts as `other`.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Summary

PREFIX = "routebalance_"
MAX_DEPLOYMENTS = 512
MAX_MODELS = 128
MAX_OWNERS = 128
"""Owners of targets."""
OTHER = "other"

_DECISION_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
_PROXY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_HOLD_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TTFT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_E2E_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
_TOKENS = (1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Known:
    """Label values seen so far; beyond the bound, further ones become `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """The label value to use."""
        known = self._values.get(value)
        if known is None:
            known = value[:128] if len(self._values) < self._most else OTHER
            if known is not OTHER:
                self._values[value] = known
        return known


class Metrics:
    """All series, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.model = Known(MAX_MODELS)
        self.owner = Known(MAX_OWNERS)
        self.deployment = Known(MAX_DEPLOYMENTS)

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(PREFIX + name, text, tuple(labels), registry=registry)

        def gauge(name: str, text: str, labels: Iterable[str] = (), over_workers: str = "livemax") -> Gauge:
            return Gauge(
                PREFIX + name,
                text,
                tuple(labels),
                registry=registry,
                multiprocess_mode=over_workers,  # type: ignore[arg-type]
            )

        def histogram(
            name: str, text: str, buckets: Iterable[float], labels: Iterable[str] = ()
        ) -> Histogram:
            return Histogram(PREFIX + name, text, tuple(labels), buckets=tuple(buckets), registry=registry)

        by_model = ("model",)
        by_deployment = ("model", "deployment")

        self.decisions = counter(
            "decisions",
            "Decisions, by reason and by whether it was the request's first attempt (none), "
            "a retry, or a fallback to another model name",
            (*by_deployment, "reason", "fallback"),
        )
        self.efforts = counter(
            "effort_decisions",
            "Decisions for a level of reasoning effort, by level",
            ("model", "effort"),
        )
        self.cascades = counter(
            "cascades",
            "Requests that could be answered twice, by model groups of both stages and what became of them",
            ("model", "second", "became"),
        )
        self.best_of = counter(
            "best_of",
            "Requests of which several answers were asked for, by model group, how many came, and what "
            "became of them",
            ("model", "answers", "became"),
        )
        self.decision_s = histogram(
            "decision_seconds", "From a request's arrival at the strategy to its choice", _DECISION_S
        )
        self.proxy_s = histogram(
            "proxy_seconds",
            "What a request waits for before its server is asked, by part: before (its arrival at the proxy "
            "to the strategy), choosing (as decision_seconds), sending (the choice to the server's call)",
            _PROXY_S,
            ("part",),
        )
        self.loop_hold_s = histogram(
            "loop_hold_seconds",
            "How long a piece of work of RouteBalance held the event loop without a break, by part",
            _HOLD_S,
            ("part",),
        )
        self.held = gauge(
            "held_requests",
            "Requests that wait in the proxy for room, by the model name asked for",
            ("model",),
            "livesum",
        )
        self.hold_s = histogram(
            "hold_seconds",
            "How long requests were held, by how that ended: served, late, displaced, full (no place), gone "
            "(no deployment left), left (their client did), failed",
            _E2E_S,
            ("end",),
        )
        self.failures = counter(
            "failures", "Internal errors of RouteBalance; the requests were routed all the same", ("what",)
        )

        self.in_flight = gauge(
            "deployment_in_flight", "Open attempts on a deployment", by_deployment, "livesum"
        )
        self.pending_tokens = gauge(
            "deployment_pending_tokens",
            "Tokens of open attempts that are still to be prefilled or decoded, as estimated",
            (*by_deployment, "phase"),
            "livesum",
        )
        self.wait_s = gauge(
            "deployment_predicted_wait_seconds",
            "Predicted time in a deployment's queue for a request that comes now",
            by_deployment,
        )
        self.slowdown = gauge(
            "deployment_slowdown_ratio",
            "How many times slower than predicted a deployment is, judging by its open attempts; at least 1",
            by_deployment,
        )

        self.failure_chance = gauge(
            "deployment_failure_chance",
            "Chance that an attempt on a deployment fails, by kind: refused, timed out, error, cut (in "
            "mid-stream); of deployments that have failed",
            (*by_deployment, "kind"),
        )
        self.slots = gauge(
            "deployment_slots",
            "Requests that a deployment's server runs at once, as stated or learned; +Inf for hosted APIs",
            by_deployment,
        )
        self.servers = gauge(
            "servers", "Self-hosted servers whose load is read, and those that cannot be read", ("state",)
        )

        self.predicted_ttft_s = histogram(
            "predicted_ttft_seconds", "Predicted TTFT of attempts whose TTFT was measured", _TTFT_S, by_model
        )
        self.measured_ttft_s = histogram(
            "measured_ttft_seconds", "Measured TTFT, of streams and of very short answers", _TTFT_S, by_model
        )
        self.predicted_e2e_s = histogram(
            "predicted_e2e_seconds", "Predicted E2E time of attempts that were answered", _E2E_S, by_model
        )
        self.measured_e2e_s = histogram(
            "measured_e2e_seconds", "Measured E2E time of attempts that were answered", _E2E_S, by_model
        )
        self.predicted_tokens = histogram(
            "predicted_output_tokens",
            "Predicted output tokens of attempts that were answered",
            _TOKENS,
            by_model,
        )
        self.measured_tokens = histogram(
            "measured_output_tokens",
            "Measured output tokens of attempts that were answered",
            _TOKENS,
            by_model,
        )
        self.quality = Summary(
            PREFIX + "predicted_quality",
            "Predicted answer quality in [0, 1] of decisions",
            by_model,
            registry=registry,
        )
        self.drift = gauge(
            "drift_score",
            "Evidence that ttft and tpot of a deployment, or output_tokens of a model (no deployment), have "
            "left their predictions: drift from 12 on, when the log says what to do; at most 24",
            (*by_deployment, "figure"),
        )

        self.target = gauge(
            "target",
            "How a target stands: its bound, the present figure, the best there is, and its price; the owner "
            "is a model name asked for, or a key or team by a hash",
            ("owner", "target", "figure"),
        )

        self.slo_attempts = counter(
            "slo_attempts", "Answered attempts that had a service level", ("model", "slo")
        )
        self.slo_met = counter("slo_met", "Answered attempts that kept their service level", ("model", "slo"))

        self.cost_usd = counter(
            "cost_usd", "Cost of answered attempts, as reported where it is, else as predicted", by_model
        )
        self.compared_cost_usd = counter(
            "compared_cost_usd", "The part of the cost that compares with the baseline's cost"
        )
        self.baseline_cost_usd = counter(
            "baseline_cost_usd", "Predicted cost of the same requests on the baseline model"
        )
        self.baseline_quality = Summary(
            PREFIX + "baseline_quality",
            "Predicted quality in [0, 1] of the same requests on the baseline",
            registry=registry,
        )
        self.baseline_e2e_s = Summary(
            PREFIX + "baseline_e2e_seconds",
            "Predicted E2E time of the same requests on the baseline",
            registry=registry,
        )

        self.open_attempts = gauge("ledger_open_attempts", "Open attempts in the ledger", (), "livesum")
        self.closed = counter(
            "attempts_closed", "Attempts closed, by what closed them; `lease`: nothing else did", ("cause",)
        )

        self.state_age_s = gauge(
            "state_age_seconds", "Seconds since the last update from the other workers; 0 for a single worker"
        )
        self.peers = gauge("peers", "Other workers whose load is received")
        self.redis_up = gauge(
            "redis_up",
            "1 while workers can exchange their load or need not, 0 while they cannot",
            (),
            "livemin",
        )
        self.redis_errors = counter("redis_errors", "Exchanges with Redis that failed")
        self.strategy_active = gauge(
            "strategy_active",
            "1 while the router or a routing group uses routebalance in every worker, else 0",
            (),
            "livemin",
        )
        self.predictor = gauge("predictor_info", "Version of the predictor, 1 while in use", ("version",))
        self.build = gauge("build_info", "Versions that run", ("version", "litellm"))


_metrics: Metrics | None = None
_creation = Lock()


def metrics() -> Metrics:
    """The series of this process, registered at first use."""
    global _metrics
    with _creation:
        if _metrics is None:
            _metrics = Metrics(REGISTRY)
        return _metrics
