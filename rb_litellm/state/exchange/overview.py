"""The load of a whole fleet at this moment, from the gauges of all its workers, to show to people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rb_litellm.state.exchange.gauges import GaugeError, StoredGauge, decode


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """Load of one live worker."""

    name: str
    age_s: float
    """Seconds since its last update."""
    up_s: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class DeploymentLoad:
    """Load of one deployment with an open attempt of any worker."""

    name: str
    """Its id; long ids are shortened as they are on the wire."""
    in_flight: int
    pending_prefill_tokens: int
    pending_decode_tokens: int
    workers: int
    """Number of workers with open attempts there."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Workers by name, deployments with the most in flight first."""

    workers: tuple[WorkerLoad, ...]
    deployments: tuple[DeploymentLoad, ...]
    unreadable: tuple[str, ...]
    """Names of workers whose gauge has another version or is damaged."""


def overview(stored: Iterable[StoredGauge]) -> Overview:
    """Add up gauges as the workers do, without advancing them in time."""
    workers: list[WorkerLoad] = []
    unreadable: list[str] = []
    sums: dict[str, list[float]] = {}
    for one in sorted(stored, key=lambda h: h.origin):
        try:
            gauge = decode(one)
        except GaugeError:
            unreadable.append(one.origin)
            continue
        in_flight = sum(load.in_flight for load in gauge.loads.values())
        workers.append(WorkerLoad(gauge.origin, gauge.age_s, gauge.up_s, round(in_flight)))
        for name, load in gauge.loads.items():
            total = sums.setdefault(name, [0.0, 0.0, 0.0, 0.0])
            for i, figure in enumerate((load.in_flight, load.prefill_tokens, load.decode_tokens, 1.0)):
                total[i] += figure
    deployments = [DeploymentLoad(name, *map(round, total)) for name, total in sums.items()]
    deployments.sort(key=lambda d: (-d.in_flight, d.name))
    return Overview(tuple(workers), tuple(deployments), tuple(unreadable))
