"""What the reference decides otherwise than we do, as policies of the simulator: one departure each.

routebalance-reference:share           `quality_norm: scaled` as it is here: a share of the best quality
routebalance-reference:gain            the same as there: the gain over the worst
routebalance-reference:possible        a batch by the longest possible answer first, not the longest expected
routebalance-reference:strict,E2E_MS   a strict limit that nobody keeps: to the shortest queue, not refused

All are balanced otherwise. The longest possible answer of a request is the longest that is predicted of any
candidate. The shortest queue is the one with the fewest requests of this worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.balancer import RoutingRequest
from rb_litellm.balancing.candidates import model_info
from rb_litellm.core.decision.breakdown import ScoreTerm
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Objective
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Slo
from rb_litellm.core.types import BoolArray, FloatArray
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.policies.policy import REFUSED
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request

_PREFIX = "routebalance-reference:"
NAMES = (
    *(f"{_PREFIX}{departure}" for departure in ("share", "gain", "possible")),
    f"{_PREFIX}strict,E2E_MS",
)


def reference(
    name: str, cluster: Cluster, predictions: PredictionSource, workers: int, gauges_s: float, seed: int
) -> RouteBalance | None:
    """The policy of that name; None for a name that is none of these.

    Raises:
        ValueError: its limit cannot be used.
    """
    if not name.startswith(_PREFIX):
        return None
    departure, _, limit_ms = name.removeprefix(_PREFIX).partition(",")
    kind: type[RouteBalance] = RouteBalance
    objective: Objective = JointScore(PRESETS["balanced"])
    limits = None
    if departure == "share":
        objective = JointScore(PRESETS["balanced"], "scaled")
    elif departure == "gain":
        objective = _Gain(JointScore(PRESETS["balanced"]))
    elif departure == "possible":
        kind = _LongestPossibleFirst
    elif departure == "strict":
        kind = _OrShortestQueue
        try:
            limits = Limits(slo=Slo(e2e_s=float(limit_ms) / 1000.0, mode="strict"))
        except ValueError as error:
            raise ValueError(f"policy {name!r}: {error}") from None
    else:
        return None
    return kind(
        name,
        cluster,
        PRESETS["balanced"],
        predictions,
        workers=workers,
        gauges_s=gauges_s,
        seed=seed,
        objective=objective,
        limits=limits,
    )


class _LongestPossibleFirst(RouteBalance):
    """One request after the other, each seeing the load of those before it."""

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        infos = [model_info(deployment) for deployment in self._deployments]
        tokens = self._predictions.predict([request.prompt for request in batch], infos).output_tokens
        placed = [REFUSED] * len(batch)
        for at in (-tokens.max(axis=1)).argsort(kind="stable").tolist():
            [placed[at]] = super().decide(worker, [batch[at]], now)
        return placed


class _OrShortestQueue(RouteBalance):
    """What the limit refuses goes to the shortest queue."""

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        placed = list(super().decide(worker, batch, now))
        open_count = self._workers[worker].ledger.open_count
        for at, request in enumerate(batch):
            if placed[at] == REFUSED:
                shortest = min(self._deployments, key=lambda deployment: open_count(deployment.id))
                alone = RoutingRequest(request.prompt, (shortest,), self._objective)
                [placed[at]] = self._place(worker, [request], [alone], now)
        return placed


@dataclass(frozen=True, slots=True)
class _Gain(Objective):
    """The objective with quality as its gain over the worst candidate, as a share of that one's."""

    objective: Objective

    @property
    def relative(self) -> bool:
        return True

    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        worst = np.min(quality, axis=-1, keepdims=True, where=allowed, initial=1.0)
        gain: FloatArray = quality / np.maximum(worst, 1e-3) - 1.0
        return self.objective.static_terms(gain, cost_usd, allowed)

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        return self.objective.latency(times, allowed)
