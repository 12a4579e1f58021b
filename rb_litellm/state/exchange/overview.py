"""The load of a whole fleet at this moment, from the loads of all its workers, to show to people."""

from __future__ import annotations

from dataclasses import dataclass

from rb_litellm.state.exchange.store import Reading
from rb_litellm.state.exchange.wire import WorkerLoad


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
    """Names of workers whose load has another version or is damaged."""


def overview(reading: Reading) -> Overview:
    """Add up loads as the workers do, without advancing them in time."""
    workers: list[WorkerLoad] = []
    sums: dict[str, list[float]] = {}
    for gauge in sorted(reading.gauges, key=lambda g: g.origin):
        in_flight = sum(load.in_flight for load in gauge.loads.values())
        workers.append(WorkerLoad(gauge.origin, gauge.age_s, gauge.up_s, round(in_flight)))
        for name, load in gauge.loads.items():
            total = sums.setdefault(name, [0.0, 0.0, 0.0, 0.0])
            for i, figure in enumerate((load.in_flight, load.prefill_tokens, load.decode_tokens, 1.0)):
                total[i] += figure
    deployments = [DeploymentLoad(name, *map(round, total)) for name, total in sums.items()]
    deployments.sort(key=lambda d: (-d.in_flight, d.name))
    return Overview(tuple(workers), tuple(deployments), tuple(sorted(reading.unreadable)))
