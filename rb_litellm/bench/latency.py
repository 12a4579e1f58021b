"""How accurate latency forecasts are: every request's forecast beside what it took, on the simulated cluster.

The paper's thirteen servers meet a load that changes all the time: square waves of half a minute and
ramps of a minute. Requests are spread over all servers at random, so that each sees every load, and are
forecast as they are sent by the proxy's own balancer, ledger and learner. Prompts and answers are drawn
log-normally with long tails; no data are needed. E2E is compared at the true output length, and besides at
the tier's mean, which is all that can be forecast of drawn lengths: what a length predictor adds is not
measured here. Beside the learned model stands the static prior.

A request joins a running batch at its next iteration. How much is left of the present one is told by the
chunks of open streams. Beside TTFT's error stands that of a forecast that knows everything but this, and
takes half an iteration for it.

In further runs one server of each tier becomes three times slower, and it is counted how many of its
answers had been measured, and how many requests sent, when its forecasts were right again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from rb_litellm.balancer import RoutingRequest
from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.core.types import FloatArray, IntArray, Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Incident, Served, Simulation
from rb_litellm.sim.policies.routebalance.arms import Arms
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.workloads.workload import Request, arrivals

WARM = 200
"""Requests of a deployment from which on its forecasts count as warm."""
COLD = (12, 24, 50)
"""First requests of a deployment that are looked at by themselves."""
PROCESSES = ("square:0.3,1.7", "ramp:0.1,1.9")
SLOWER = 3.0
CLOSE = 0.25
"""A forecast follows once the median of ten in a row is this close."""


class Spread(RouteBalance):
    """Sends each request to a server drawn at random, forecast as RouteBalance forecasts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.met: dict[int, tuple[float, float, float]] = {}
        """By request: in-flight, pending prefill and pending decode tokens of its server before its batch."""

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """As ever, noting the load."""
        its = self._workers[worker]
        rows = [its.index.row(deployment.id) for deployment in self._deployments]
        load = its.ledger.sums(now).take(np.array(rows))
        columns = (load.in_flight, load.pending_prefill_tokens, load.pending_decode_tokens)
        chosen = super().decide(worker, batch, now)
        for request, number in zip(batch, chosen, strict=True):
            in_flight, prefill, decode = (float(column[number]) for column in columns)
            self.met[request.number] = in_flight, prefill, decode
        return chosen

    def _routing_requests(self, batch: Sequence[Request], now: float) -> list[RoutingRequest]:
        return [
            RoutingRequest(
                r.prompt, (Random(f"spread {r.number}").choice(self._deployments),), self._objective
            )
            for r in batch
        ]


@dataclass(frozen=True)
class Forecasts:
    """One run; every array has one entry per request in order of sending. Times in s."""

    deployment: IntArray
    tier: IntArray
    nth: IntArray
    """How many requests its deployment was sent before it."""
    sent_s: FloatArray
    ttft_s: FloatArray
    e2e_s: FloatArray
    predicted_ttft_s: FloatArray
    predicted_e2e_s: FloatArray
    """At the true output length."""
    expected_e2e_s: FloatArray
    """At the length that was forecast."""
    chance_s: FloatArray
    """Half of the iteration that was under way on the server, less what was left of it."""
    features: FloatArray
    """(R, 5): in-flight, pending prefill and decode tokens of the server, input and output tokens."""

    def error(self, kind: str) -> FloatArray:
        """|predicted - measured| / measured, of `ttft` or `e2e`."""
        measured: FloatArray = getattr(self, f"{kind}_s")
        predicted: FloatArray = getattr(self, f"predicted_{kind}_s")
        return np.abs(predicted - measured) / measured

    @property
    def ttft_error_without_moment(self) -> FloatArray:
        """The relative error of TTFT forecast by all but the moment within an iteration."""
        return np.abs(self.chance_s) / self.ttft_s

    @property
    def expected_e2e_error(self) -> FloatArray:
        """The relative error of E2E at the length that was forecast."""
        return np.abs(self.expected_e2e_s - self.e2e_s) / self.e2e_s


def run(
    rates: Sequence[float],
    seeds: Sequence[int],
    requests: int,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Rows of errors per load, and how soon a slowed server is followed."""
    rows, slowed = [], []
    for rate in rates:
        for process in PROCESSES:
            for model, learning in (("learned", True), ("static", False)):
                runs = [simulate(process, rate, seed, requests, learning) for seed in seeds]
                rows.append(_row(process, rate, model, runs))
                told(f"{process} at {rate:g} requests/s: {model}")
        for seed in seeds:
            slowed.extend(_slow_down(rate, seed, requests))
        told(f"servers slowed at {rate:g} requests/s")
    return {
        "rows": rows,
        "followed": _summary(slowed),
        "seeds": list(seeds),
        "requests": requests,
        "warm_after": WARM,
    }


def simulate(
    process: str,
    rate: float,
    seed: int,
    count: int,
    learning: bool = True,
    incidents: Sequence[Incident] = (),
    cluster: Cluster = PAPER_CLUSTER,
) -> Forecasts:
    """One run of `count` requests at `rate` per second on average over all servers."""
    asked = _requests(process, rate, seed, count, cluster)
    policy = Spread(
        "spread",
        cluster,
        PRESETS["balanced"],
        PredictionSource(),
        arms=Arms(learning=learning),
        seed=seed,
    )
    simulation = Simulation(cluster, policy, asked, seed, incidents=incidents)
    served = sorted(simulation.run(), key=lambda s: s.decided_s)
    return _forecasts(policy, served, simulation.tier_of)


def _forecasts(policy: Spread, served: Sequence[Served], tier_of: Sequence[int]) -> Forecasts:
    deployment = np.array([s.deployment for s in served], dtype=np.int64)
    nth = np.zeros_like(deployment)
    for number in np.unique(deployment):
        nth[deployment == number] = np.arange(np.count_nonzero(deployment == number))
    told = [policy.predicted(s.worker, s.request) for s in served]
    # A request's own clock starts at its arrival; forecasts speak of the time from the decision on.
    before = np.array([s.decided_s - s.request.arrival_s for s in served])
    steps = np.array([s.output_tokens - 1 for s in served])
    ttft_s = np.array([p.ttft_s for p in told])
    return Forecasts(
        deployment=deployment,
        tier=np.array(tier_of, dtype=np.int64)[deployment],
        nth=nth,
        sent_s=np.array([s.decided_s for s in served]),
        ttft_s=np.array([s.ttft_s for s in served]) - before,
        e2e_s=np.array([s.e2e_s for s in served]) - before,
        predicted_ttft_s=ttft_s,
        predicted_e2e_s=ttft_s + steps * np.array([p.tpot_s for p in told]),
        expected_e2e_s=np.array([p.e2e_s for p in told]),
        chance_s=np.array([s.step_s / 2.0 - s.step_left_s for s in served]),
        features=np.array(
            [(*policy.met[s.request.number], s.request.prompt.input_tokens, s.output_tokens) for s in served],
            dtype=np.float64,
        ),
    )


def _row(process: str, rate: float, model: str, runs: Sequence[Forecasts]) -> dict[str, Any]:
    nth = np.concatenate([run.nth for run in runs])
    tier = np.concatenate([run.tier for run in runs])
    row: dict[str, Any] = {"arrivals": process, "rate": rate, "model": model}
    for kind in ("e2e", "ttft"):
        error = np.concatenate([run.error(kind) for run in runs])
        row[f"{kind}_mape"] = _mean(error[nth >= WARM])
        for first in COLD:
            row[f"{kind}_mape_first_{first}"] = _mean(error[nth < first])
        row[f"{kind}_mape_by_tier"] = {
            of.name: _mean(error[(nth >= WARM) & (tier == number)])
            for number, of in enumerate(PAPER_CLUSTER.tiers)
        }
    without = np.concatenate([run.ttft_error_without_moment for run in runs])
    row["ttft_mape_without_moment"] = _mean(without[nth >= WARM])
    of_mean = np.concatenate([run.expected_e2e_error for run in runs])
    row["e2e_mape_at_mean_length"] = _mean(of_mean[nth >= WARM])
    return row


def _mean(errors: FloatArray) -> float | None:
    return round(float(errors.mean()), 4) if errors.size else None


def _slow_down(rate: float, seed: int, count: int) -> list[tuple[int | None, int | None]]:
    """Per tier's first server: its (measured, sent) requests since it became slow until it is followed."""
    start_s, first, victims = count / rate / 2.0, 0, []
    for tier in PAPER_CLUSTER.tiers:
        victims.append(first)
        first += tier.instances
    incidents = [Incident(number, start_s, math.inf, SLOWER) for number in victims]
    found = simulate("square:0.3,1.7", rate, seed, count, incidents=incidents)
    error = found.error("e2e")
    followed = []
    for number in victims:
        own = np.flatnonzero((found.deployment == number) & (found.sent_s >= start_s))
        ends = np.sort(found.sent_s[own] + found.e2e_s[own])
        followed.append(_followed(error[own], np.searchsorted(ends, found.sent_s[own])))
    return followed


def _followed(error: FloatArray, measured_before: IntArray) -> tuple[int | None, int | None]:
    for sent in range(len(error) - 9):
        if np.median(error[sent : sent + 10]) <= CLOSE:
            return int(measured_before[sent]), sent
    return None, None


def _summary(slowed: Sequence[tuple[int | None, int | None]]) -> dict[str, Any]:
    measured = [m for m, _ in slowed if m is not None]
    sent = [s for _, s in slowed if s is not None]
    return {
        "slower": SLOWER,
        "servers": len(slowed),
        "not_followed": len(slowed) - len(sent),
        "answers_median": float(np.median(measured)) if measured else None,
        "answers_max": max(measured, default=None),
        "sent_median": float(np.median(sent)) if sent else None,
        "sent_max": max(sent, default=None),
    }


def _requests(process: str, rate: float, seed: int, count: int, cluster: Cluster) -> list[Request]:
    """Prompts around 120 tokens (mean about 250, up to 6,000) and answers around the tiers' means."""
    random = np.random.default_rng(seed)
    means = np.array([tier.output_tokens for tier in cluster.tiers])
    inputs = np.clip(np.exp(random.normal(math.log(120.0), 1.2, count)), 4.0, 6000.0).astype(int)
    common = random.standard_normal((count, 1))
    own = random.standard_normal((count, len(means)))
    tokens = np.maximum(np.round(means * np.exp(0.42 * (common + own) - 0.18)), 1.0)
    times: Iterator[float] = arrivals(process, rate, seed)
    return [
        Request(n, at, Prompt(input_tokens=int(inputs[n])), np.full(len(means), 0.5), tokens[n])
        for n, at in zip(range(count), times, strict=False)
    ]
