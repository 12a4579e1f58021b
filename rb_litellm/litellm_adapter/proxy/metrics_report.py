"""What Prometheus is told of this worker, collected every REPORT_EVERY_S in the event loop, off requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rb_litellm import __version__
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.hosts.python_router import routed_by_us
from rb_litellm.litellm_adapter.shared.timers import PeriodicTask
from rb_litellm.telemetry.meter import DeploymentFigures, DriftFigure, Meter, WorkerFigures

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.runtime import Runtime

REPORT_EVERY_S = 1.0
_SOON_S = 0.01
_log = logging.getLogger("rb_litellm")


class Reporting:
    """Owns the meter of a worker. Without prometheus-client there is none, and nothing is counted."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._timer = PeriodicTask(REPORT_EVERY_S, self.report)
        self.meter = _meter()
        self._litellm = version("litellm")

    def ensure_started(self) -> None:
        """Report from the running loop, if any, unless another that is alive does it."""
        if self.meter is not None:
            self._timer.ensure_started()

    def report(self) -> None:
        """Bring all series up to date; what waits beyond a few is counted shortly after. Never raises."""
        if self.meter is None:
            return
        try:
            self.meter.show(self._figures())
            self._work_off()
        except Exception as error:  # noqa: BLE001  nobody may suffer from being counted wrongly
            self._runtime.counters.failure("metrics", error, self._runtime.clock())

    def settle(self) -> None:
        """Bring all series up to date, whatever waits: for somebody who reads them now. Never raises."""
        self.report()
        if self.meter is not None:
            with contextlib.suppress(Exception):
                while self.meter.work_off():
                    pass

    def _work_off(self) -> None:
        assert self.meter is not None
        if self.meter.work_off():
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().call_later(_SOON_S, self._work_off)

    def _figures(self) -> WorkerFigures:
        runtime = self._runtime
        now = runtime.clock()
        router = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
        with runtime.lock:
            runtime.publisher.work_off()
            exchange = runtime.sharing.status()
            served = self._served(router)
            return WorkerFigures(
                deployments=self._deployments(served, now),
                drift=self._drift(served),
                open_attempts=len(runtime.ledger),
                closed=dict(runtime.ledger.closed),
                failures=dict(runtime.counters.failures),
                state_age_s=runtime.sharing.age_s(now) or 0.0,
                peers=0 if exchange is None else exchange.peers,
                redis_up=exchange is None or exchange.mode != "degraded",
                redis_errors=0 if exchange is None else exchange.failures,
                strategy_active=router is None or bool(routed_by_us(router)),
                predictors=runtime.predictor_versions(),
                version=__version__,
                litellm=self._litellm,
            )

    def _deployments(self, deployments: Sequence[Deployment], now: float) -> list[DeploymentFigures]:
        runtime = self._runtime
        if not deployments:
            return []
        snapshot = runtime.balancer.snapshot(deployments, now)
        rows = [runtime.index.row(deployment.id) for deployment in deployments]
        own = runtime.ledger.sums(now)
        return [
            DeploymentFigures(
                deployment=deployment.id,
                model=deployment.group,
                in_flight=float(own.in_flight[row]),
                prefill_tokens=float(own.pending_prefill_tokens[row]),
                decode_tokens=float(own.pending_decode_tokens[row]),
                wait_s=float(snapshot.times.wait_s[i]),
                slowdown=float(snapshot.slowdown[i]),
            )
            for i, (deployment, row) in enumerate(zip(deployments, rows, strict=True))
        ]

    def _drift(self, deployments: Sequence[Deployment]) -> list[DriftFigure]:
        """Scores of those served now: times by deployment, lengths by model."""
        group_of = {deployment.id: deployment.group for deployment in deployments}
        groups = set(group_of.values())
        found = []
        for name, kind, track in self._runtime.drift:
            if kind == "output_tokens":
                if name in groups:
                    found.append(DriftFigure(name, "", kind, track.score))
            elif name in group_of:
                found.append(DriftFigure(group_of[name], name, kind, track.score))
        return found

    def _served(self, router: Any) -> Sequence[Deployment]:
        """Deployments of the models that we route, in LiteLLM's order."""
        if router is None:
            return ()
        models = routed_by_us(router)
        entries = router.model_list or ()
        return self._runtime.catalog.facts(
            [entry for entry in entries if None in models or entry.get("model_name") in models]
        )


def _meter() -> Meter | None:
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
