"""How this worker and its fleet stand now, as plain JSON values: what the page, `top` and the doctor read.

Loads are the fleet's, as this worker reckons them; decisions are its own, for no worker hears of another's.
Nothing here waits, and what it costs is bounded: MAX_SHOWN deployments, the recent decisions that are kept
anyway, one snapshot every FRESH_S however many look on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from rb_litellm.core.decision.scoring import PRESETS, STANDARD
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.hosts.host import STRATEGY
from rb_litellm.litellm_adapter.proxy.deployment_health import Cooldowns, health_of
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.telemetry.comparing.summary import summarise
from rb_litellm.telemetry.records.decision_log import Recent
from rb_litellm.telemetry.trouble import deployment_trouble, urgency
from rb_litellm.version import __version__

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.runtime import Runtime
    from rb_litellm.litellm_adapter.worker import Worker

MAX_SHOWN = 512
"""Deployments shown; of more, those with the most in flight."""
FRESH_S = 0.5
WINDOW = 200
"""Decisions that the figures of traffic speak of."""
_TYPICAL = (200.0, 250.0)
"""Input and output tokens of a request while none has been seen."""


class Status:
    """Snapshots of one worker; `router` is asked for the Router of the moment."""

    def __init__(self, worker: Worker, router: Callable[[], Any]) -> None:
        self._runtime = worker.runtime
        self._accounting = worker.accounting
        self._router = router
        self._clock = self._runtime.clock
        self._began = self._clock()
        self._litellm = version("litellm")
        self.cooldowns = Cooldowns(router, self._clock)
        self._taken: tuple[float, dict[str, Any]] | None = None

    async def fresh(self, turns: Turns) -> dict[str, Any]:
        """All of it, at most FRESH_S old; every figure with its unit in its name.

        It is taken in turns, in several steps, and once for all who wait for it.
        """
        taken = self._taken_lately()
        if taken is None:
            await self._accounting.all_written()
            # The same decisions as below: at_random is kept with each, and those that came meanwhile lack it.
            recent = self.recent(WINDOW)
            await turns.each(recent, Recent.at_random)
            async with turns.one():
                taken = self._taken_lately()
                if taken is None:
                    baseline = self._runtime.recorder.baseline.model
                    summary = await turns.step(lambda: summarise(recent, baseline))
                    taken = await self._take(recent, summary, turns)
        return taken

    def _taken_lately(self) -> dict[str, Any] | None:
        if self._taken is None or self._clock() - self._taken[0] >= FRESH_S:
            return None
        return self._taken[1]

    def recent(self, count: int) -> Sequence[Recent]:
        """The last decisions of this worker that are written down, the newest first."""
        with self._runtime.lock:
            return self._accounting.publisher.written.recent(count)

    @property
    def worker(self) -> str:
        """This worker's name among the others."""
        return self._runtime.sharing.origin

    async def _take(self, recent: Sequence[Recent], summary: dict[str, Any], turns: Turns) -> dict[str, Any]:
        now, runtime, router = self._clock(), self._runtime, self._router()
        groups = await turns.step(lambda: strategies(router))
        deployments = await turns.step(lambda: _routed(runtime, router, groups))
        tiers = await turns.step(lambda: self._tiers(deployments, recent, summary["deployments"], now))
        told = await turns.step(lambda: self._told(now, groups, summary)) | tiers
        self._taken = (now, told)
        return told

    def _told(self, now: float, groups: list[dict[str, Any]], summary: dict[str, Any]) -> dict[str, Any]:
        runtime = self._runtime
        exchange = runtime.sharing.status()
        return {
            "version": __version__,
            "litellm": self._litellm,
            "worker": self.worker,
            "at_s": round(time.time(), 3),
            "up_s": round(now - self._began, 1),
            "strategies": groups,
            "presets": {name: asdict(weights) for name, weights in PRESETS.items()},
            "default_weights": STANDARD,
            "decisions_total": runtime.recorder.log.total,
            "failures": dict(runtime.counters.failures),
            "expired": runtime.counters.expired,
            "proxy_s": runtime.proxy_time.shown,
            "exchange": None
            if exchange is None
            else {**asdict(exchange), "interval_s": runtime.sharing.interval_s},
            "peers": self._peers(now),
            "own_in_flight": self._own_in_flight(now),
            "servers": self._servers(now),
            "predictors": runtime.predictor_versions(),
            "targets": runtime.targets.shown(),
            "recent": summary,
        }

    def _peers(self, now: float) -> list[dict[str, Any]]:
        silence_s = self._runtime.sharing.age_s(now) or 0.0
        return [
            {
                "worker": worker.name,
                "age_s": round(worker.age_s + silence_s, 2),
                "up_s": round(worker.up_s),
                "in_flight": worker.in_flight,
            }
            for worker in self._runtime.sharing.peers.workers
        ]

    def _servers(self, now: float) -> list[dict[str, Any]]:
        """The servers whose load is read, those that cannot be read first."""
        read = sorted(self._runtime.scraping.status(), key=lambda server: -server.failures)
        return [
            {
                "url": server.url,
                "load": None if server.load is None else asdict(server.load),
                "slots": server.slots,
                "context_window": server.window,
                "age_s": None if server.updated_s is None else round(now - server.updated_s, 1),
                "failures": server.failures,
                "error": server.error,
            }
            for server in read[:MAX_SHOWN]
        ]

    def _own_in_flight(self, now: float) -> int:
        with self._runtime.lock:
            return round(float(self._runtime.ledger.sums(now).in_flight.sum()))

    def _tiers(
        self,
        deployments: Sequence[Deployment],
        recent: Sequence[Recent],
        shares: Mapping[str, float],
        now: float,
    ) -> dict[str, Any]:
        if not deployments:
            return {"tiers": [], "left_out": 0, "in_flight": 0.0}
        input_tokens, output_tokens = _typical(recent)
        runtime = self._runtime
        with runtime.lock:
            snapshot = runtime.balancer.snapshot(deployments, now, input_tokens, output_tokens)
            own = [runtime.ledger.open_count(d.id) for d in deployments]
            servers = [runtime.reckoner.server(d.id) for d in deployments]
        state, times = snapshot.state, snapshot.times
        health = health_of(runtime, [d.id for d in deployments], now)
        shown = np.argsort(-state.in_flight, kind="stable")[:MAX_SHOWN]
        tiers: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(shown.tolist()):
            d = deployments[row]
            tiers.setdefault(d.tier, []).append(
                {
                    "id": d.id,
                    "name": d.name,
                    "priced": d.priced,
                    "model": d.group,
                    "in_flight": round(float(state.in_flight[row]), 1),
                    "own_in_flight": own[row],
                    "server": servers[row],
                    "slots": round(slots, 1) if math.isfinite(slots := float(snapshot.slots[row])) else None,
                    "context_window": _stated(float(snapshot.windows[row]), d.context_window),
                    "pending_prefill_tokens": round(float(state.pending_prefill_tokens[row])),
                    "pending_decode_tokens": round(float(state.pending_decode_tokens[row])),
                    "wait_s": round(float(times.wait_s[row]), 4),
                    "ttft_s": round(float(times.ttft_s[row]), 4),
                    "tpot_s": round(float(times.tpot_s[row]), 6),
                    "e2e_s": round(float(times.e2e_s[row]), 4),
                    "share": shares.get(d.id, 0.0),
                    "slowdown": round(float(snapshot.slowdown[row]), 2),
                    "failure_chance": _told(snapshot.failing_of(row)),
                    "cooldown": self.cooldowns.of(d.id),
                    **health[row],
                }
            )
        return {
            "in_flight": open_on_servers([row for rows in tiers.values() for row in rows]),
            "tiers": [_tier(name, rows) for name, rows in tiers.items()],
            "left_out": len(deployments) - len(shown),
            "typical": {"input_tokens": round(input_tokens), "output_tokens": round(output_tokens)},
        }


def _stated(by_server: float, configured: int | None) -> int | None:
    """A context window as it counts: what the configuration says goes before what the server states."""
    if configured is not None:
        return configured
    return int(by_server) if math.isfinite(by_server) else None


def _told(chances: Mapping[str, float]) -> dict[str, float]:
    """Those that are worth telling."""
    return {kind: round(chance, 3) for kind, chance in chances.items() if chance >= 0.001}


def strategies(router: Any) -> list[dict[str, Any]]:
    """The router's own strategy and those of its routing groups that are ours: group, members, arguments.

    `group` is None for the router's own, which serves whatever no group claims.
    """
    if router is None:
        return []
    return [
        {
            "group": entry.get("group_name"),
            "models": list(entry.get("models") or ()),
            "arguments": _shown(entry.get("routing_strategy_args") or {}),
        }
        for entry in _holders(router)
        if getattr(entry.get("routing_strategy"), "value", entry.get("routing_strategy")) == STRATEGY
    ]


def _holders(router: Any) -> list[dict[str, Any]]:
    """The router's settings and its routing groups, as mappings."""
    settings = router.get_settings()
    groups = settings.get("routing_groups") or ()
    return [settings, *(g if isinstance(g, dict) else g.model_dump() for g in groups)]


def _shown(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without the addresses in them, which may hold a password."""
    redis = arguments.get("redis")
    if not isinstance(redis, Mapping) or "url" not in redis:
        return dict(arguments)
    return {**arguments, "redis": {**redis, "url": "(set)"}}


def _routed(runtime: Runtime, router: Any, groups: Sequence[Mapping[str, Any]]) -> list[Deployment]:
    """The deployments that our strategies choose among, in the router's order."""
    if router is None or not groups:
        return []
    named = {model for group in groups for model in group["models"]}
    claimed = {model for holder in _holders(router)[1:] for model in holder.get("models") or ()}
    rest = any(group["group"] is None for group in groups)
    entries = [
        entry
        for entry in router.model_list or ()
        if entry.get("model_name") in named or (rest and entry.get("model_name") not in claimed)
    ]
    with runtime.lock:
        return runtime.catalog.facts(entries)


def _typical(recent: Sequence[Recent]) -> tuple[float, float]:
    """Mean input and output tokens of recent requests."""
    measured = [one.record.outcome for one in recent if one.record.outcome is not None]
    inputs = [o.input_tokens for o in measured if o.input_tokens > 0]
    outputs = [o.output_tokens for o in measured if o.output_tokens is not None]
    predicted = [one.record.prediction.output_tokens for one in recent if one.record.prediction is not None]
    return (
        float(np.mean(inputs)) if inputs else _TYPICAL[0],
        float(np.mean(outputs or predicted)) if outputs or predicted else _TYPICAL[1],
    )


def open_on_servers(rows: Sequence[Mapping[str, Any]]) -> float:
    """What is open on the servers of these deployments; of several on one server each shows all of it."""
    by_server: dict[int, float] = {row["server"]: row["in_flight"] for row in rows}
    return round(sum(by_server.values()), 1)


def _tier(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    for row in rows:
        row["trouble"], row["urgency"] = deployment_trouble(row), urgency(row)
    return {
        "tier": name,
        "models": sorted({row["model"] for row in rows}),
        "in_flight": open_on_servers(rows),
        "share": round(sum(row["share"] for row in rows), 4),
        "deployments": rows,
    }
