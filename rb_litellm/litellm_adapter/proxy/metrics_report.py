"""What Prometheus is told of this worker, collected every REPORT_EVERY_S in the event loop, off requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.hosts.host import routed_by_us
from rb_litellm.litellm_adapter.shared.proxy_server import current_router
from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS
from rb_litellm.litellm_adapter.shared.upkeep.loop_round import LOOP_ROUND
from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.telemetry.meter import DeploymentFigures, DriftFigure, TargetFigure, WorkerFigures
from rb_litellm.version import __version__

REPORT_EVERY_S = 1.0
_SOON_S = 0.01


class MetricsReport:
    """Brings the meter of a worker up to date; without prometheus-client there is none to bring."""

    def __init__(self, worker: Worker) -> None:
        self._runtime = worker.runtime
        self._accounting = worker.accounting
        self._holding = worker.holding
        self._timer = PeriodicTask(REPORT_EVERY_S, self.report, "metrics")
        self.meter = worker.runtime.meter
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
            self._soon()
        except Exception as error:  # noqa: BLE001  nobody may suffer from being counted wrongly
            self._runtime.failed("metrics", error)

    async def settle(self) -> None:
        """Bring all series up to date, whatever waits: for somebody who reads them now. Never raises."""
        await self._accounting.all_written()
        self.report()
        if self.meter is not None:
            try:
                # Nothing is waited for: the loop goes round.
                while self.meter.work_off():  # noqa: ASYNC110
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001  nobody may suffer from being counted wrongly
                self._runtime.failed("metrics", error)

    def _soon(self) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().call_later(_SOON_S, LOOP_HOLDS.during, "metrics", self._work_off)

    def _work_off(self) -> None:
        try:
            if self.meter is not None and (not LOOP_ROUND.has_room or self.meter.work_off()):
                self._soon()
        except Exception as error:  # noqa: BLE001  nobody may suffer from being counted wrongly
            self._runtime.failed("metrics", error)

    def _figures(self) -> WorkerFigures:
        runtime = self._runtime
        now = runtime.clock()
        router = current_router()
        with runtime.lock:
            exchange = runtime.sharing.status()
            served = self._served(router)
            failing = [server.failures > 0 for server in runtime.scraping.status()]
            return WorkerFigures(
                deployments=self._deployments(served, now),
                drift=self._drift(served),
                targets=_targets(runtime.targets.shown()),
                open_attempts=len(runtime.ledger),
                closed=dict(runtime.ledger.closed),
                failures=dict(runtime.counters.failures),
                state_age_s=runtime.sharing.age_s(now) or 0.0,
                peers=0 if exchange is None else exchange.peers,
                redis_up=exchange is None or exchange.mode != "degraded",
                redis_errors=runtime.tallies.errors + (0 if exchange is None else exchange.failures),
                servers_read=len(failing) - sum(failing),
                servers_failing=sum(failing),
                strategy_active=router is None or bool(routed_by_us(router)),
                predictors=runtime.predictor_versions(),
                version=__version__,
                litellm=self._litellm,
                loop_held=LOOP_HOLDS.take(),
                held=self._holding.by_model(),
                hold_ends=self._holding.take(),
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
                slots=float(snapshot.slots[i]),
                failing=snapshot.failing_of(i),
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


def _targets(shown: Sequence[dict[str, Any]]) -> list[TargetFigure]:
    return [
        TargetFigure(owner["owner"], name, {figure: stands[figure] for figure in _FIGURES})
        for owner in shown
        for name, stands in owner["targets"].items()
    ]


_FIGURES = ("bound", "present", "best", "price")
