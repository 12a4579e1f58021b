"""What a fleet has open at this moment, out of the gauges of all its workers: for people who look on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rb_litellm.state.gauges import GaugeError, StoredGauge, decode


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """One worker that is alive."""

    name: str
    age_s: float
    """Since it last spoke."""
    up_s: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class DeploymentLoad:
    """One deployment that somebody has an open attempt on."""

    name: str
    """Its id; long ids appear shortened, as they are on the wire."""
    in_flight: int
    pending_prefill_tokens: int
    pending_decode_tokens: int
    workers: int
    """Workers with open attempts there."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Workers by name, deployments with the most in flight first."""

    workers: tuple[WorkerLoad, ...]
    deployments: tuple[DeploymentLoad, ...]
    unreadable: tuple[str, ...]
    """Names of workers whose gauge is of another version or damaged."""


def overview(stored: Iterable[StoredGauge]) -> Overview:
    """Add up gauges as the workers themselves do, without advancing them."""
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
