"""What keeping state costs: reckoning per decision, Redis per worker, memory over many decisions."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from rb_litellm.balancer import Assignment, Balancer, RoutingRequest
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.core.decision.scoring import PRESETS, JointScore
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.measurement import measured
from rb_litellm.core.types import Prediction, Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import GaugePublisher
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.outcomes import OutcomeRing
from rb_litellm.state.reckoning import Reckoner

_PREDICTION = Prediction(0.5, 100.0, 0.0, 0.2, 0.02, 2.2, 0.001)
_OPEN_S = 2.0
"""How long each request of the Redis load stays open."""


def run(
    decisions: int = 200_000,
    seconds: float = 5.0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """All three; `{"reckoning": [..], "redis": [..], "memory": {..}}`."""
    progress("reckoning")
    reckoned = reckoning()
    exchanged = redis_costs(seconds, progress)
    progress(f"memory over {decisions} decisions")
    return {"reckoning": reckoned, "redis": exchanged, "memory": memory(decisions)}


def redis_costs(seconds: float, progress: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """What two workers that share their load ask of Redis, idle and busy, per worker."""
    rows = []
    with RedisServer() as server:
        for deployments in (13, 128):
            for rate in (0.0, 100.0):
                progress(f"Redis, {deployments} deployments, {rate:g} requests/s")
                rows.append(asyncio.run(_redis_cost(server, deployments, rate, seconds)))
    return rows


def reckoning(
    sizes: Sequence[tuple[int, int]] = ((13, 200), (128, 200), (1000, 200), (1000, 2000)), repeats: int = 2000
) -> list[dict[str, Any]]:
    """Microseconds to compute the state of N deployments with this many open attempts and three peers."""
    rows = []
    for deployments, attempts in sizes:
        worker = _Worker(deployments)
        for number in range(attempts):
            worker.open(number, 0.0)
        worker.hear_peers(3)
        row: dict[str, Any] = {"deployments": deployments, "open": attempts}
        for name, act in (("state_us", worker.reckoner.state), ("slowdown_us", worker.reckoner.slowdown)):
            taken = []
            for step in range(repeats):
                began = time.perf_counter()
                act(step / 1000.0)
                taken.append(time.perf_counter() - began)
            row[name] = round(float(np.median(taken)) * 1e6, 2)
        rows.append(row)
    return rows


async def _redis_cost(server: RedisServer, deployments: int, rate: float, seconds: float) -> dict[str, Any]:
    """Two workers on one Redis, each with `rate` requests a second; figures are per worker."""
    workers = [_Worker(deployments, server.url) for _ in range(2)]
    for worker in workers:
        worker.publisher.start()
    loads = [asyncio.create_task(worker.load(rate)) for worker in workers] if rate else []
    await asyncio.sleep(_OPEN_S + 0.5)
    with server.client() as client:
        before, cpu, began = _figures(client.info("all")), time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        after = _figures(client.info("all"))
    for task in loads:
        task.cancel()
    for worker in workers:
        await worker.publisher.stop()
    per_worker = {name: (after[name] - before[name]) / took / len(workers) for name in before}
    return {
        "deployments": deployments,
        "requests_per_s": rate,
        "round_trips_per_s": round(per_worker["round_trips"], 2),
        "commands_per_s": round(per_worker["commands"], 1),
        "bytes_sent_per_s": round(per_worker["received"]),
        "bytes_read_per_s": round(per_worker["sent"]),
        # The load itself included: opening and closing attempts.
        "cpu_ms_per_s": round(cpu / took / len(workers) * 1000.0, 2),
    }


def _figures(info: dict[str, Any]) -> dict[str, float]:
    scripts = sum(info.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))
    commands = sum(figures["calls"] for name, figures in info.items() if name.startswith("cmdstat_"))
    return {
        "round_trips": float(scripts),
        "commands": float(commands),
        "received": float(info["total_net_input_bytes"]),
        "sent": float(info["total_net_output_bytes"]),
    }


def memory(decisions: int = 200_000, deployments: int = 13, warm_up: int = 30_000) -> dict[str, Any]:
    """Growth of the process (MB) over this many decisions, each opened, answered and learned from.

    Of both halves of them, too: what grows with decisions grows in each, what is allocated once in one.
    """
    worker = _Worker(deployments)
    told = [_resident_after(worker, count) for count in (warm_up, decisions // 2, decisions - decisions // 2)]
    return {
        "decisions": decisions,
        "before_mb": round(told[0], 1),
        "after_mb": round(told[2], 1),
        "growth_mb": round(told[2] - told[0], 2),
        "growth_of_halves_mb": [round(told[1] - told[0], 2), round(told[2] - told[1], 2)],
    }


def _resident_after(worker: _Worker, decisions: int) -> float:
    worker.decide(decisions)
    gc.collect()
    return _resident_mb()


def _resident_mb() -> float:
    """Resident memory of this process; Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


class _Worker:
    """A worker's state and decision, without a proxy around it."""

    def __init__(self, deployments: int, redis_url: str | None = None) -> None:
        prior = LatencyPrior(0.02, 0.2, 1e-5, 5e-4, 64.0)
        self.deployments = tuple(
            # Ids as LiteLLM makes them: 64 hex digits.
            Deployment(f"{i:064x}", "model", "model", "tier", prior, 1e-7, 1e-7, 0.5, 100.0)
            for i in range(deployments)
        )
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        self.reckoner = Reckoner(self.index, self.ledger, self.peers)
        self.outcomes = OutcomeRing()
        self.random = Random(0)
        self.balancer = Balancer(self.reckoner, LatencyLearner(), self.random)
        self.made = 0
        for deployment in self.deployments:
            self.reckoner.row(deployment.id)
        store = None if redis_url is None else RedisStore(RedisSettings(url=redis_url))
        self.publisher = GaugePublisher(self.index, self.ledger, self.peers, store)

    def open(self, number: int, now: float) -> AttemptKey:
        key = AttemptKey(f"call-{number}", 0)
        deployment = self.deployments[number % len(self.deployments)].id
        self.ledger.open(key, deployment, now=now, input_tokens=200, prediction=_PREDICTION)
        return key

    def answer(self, key: AttemptKey) -> None:
        self.ledger.close(key, time.monotonic(), "success")

    def hear_peers(self, count: int) -> None:
        from rb_litellm.state.exchange.gauges import Gauge, Load, wire_name

        loads = {wire_name(deployment.id): Load(3.0, 100.0, 300.0, 150.0) for deployment in self.deployments}
        self.peers.update([Gauge(f"peer-{n}", 0.1, loads) for n in range(count)], 0.0)

    async def load(self, rate: float) -> None:
        """Open attempts at `rate` per second, each for two seconds, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            now = time.monotonic()
            key = self.open(self.made, now)
            self.made += 1
            loop.call_later(_OPEN_S, self.answer, key)
            await asyncio.sleep(1.0 / rate)

    def decide(self, count: int) -> None:
        """Place, answer and learn; 64 attempts stay open at a time."""
        predictions = PredictionSource()
        waiting: list[AttemptKey] = []
        for _ in range(count):
            self.made += 1
            now = self.made * 0.01
            prompt = Prompt(text=f"question {self.made}", input_tokens=200, turns=1)
            [placed] = self.balancer.decide(
                [RoutingRequest(prompt, self.deployments, JointScore(PRESETS["balanced"]))], predictions, now
            )
            assert isinstance(placed, Assignment)
            key = AttemptKey(f"{self.made:032x}", 0)
            decision = placed.decision
            self.ledger.open(
                key, placed.deployment.id, now=now, input_tokens=200, prediction=decision.prediction
            )
            waiting.append(key)
            if len(waiting) > 64:
                outcome = self.ledger.close(waiting.pop(0), now, "success", ttft_s=0.2)
                if outcome is not None:
                    outcome = measured(outcome, self.random.randrange(20, 200))
                    self.outcomes.add(outcome)
                    self.balancer.beliefs.learn(outcome)
