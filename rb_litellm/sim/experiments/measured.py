"""What an experiment consists of, and its results by the settings they were obtained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rb_litellm.sim.report.blocks import Block
from rb_litellm.sim.report.statistics import Spread, difference, ratio, spread
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.world import Run


@dataclass(frozen=True)
class Scale:
    """How much of an experiment to run."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    requests: int = 3534
    trace: Path | None = None
    """Arrivals to replay, for the experiment that needs them."""


@dataclass(frozen=True)
class Measured:
    """Runs with their results."""

    pairs: Sequence[tuple[Run, RunResult]]
    cluster: Cluster = PAPER_CLUSTER

    def results(self, policy: str, **where: object) -> list[RunResult]:
        """The results of a policy's runs with these settings, one per seed.

        Raises:
            KeyError: there is none.
        """
        where["policy"] = policy
        found = [r for run, r in self.pairs if all(getattr(run, k) == v for k, v in where.items())]
        if not found:
            raise KeyError(f"no run with {where}")
        return found

    def spread(self, policy: str, figure: str, **where: object) -> Spread:
        """Median and range over seeds of one figure of a run's JSON."""
        return spread(self.results(policy, **where), figure)

    def ratio(self, policy: str, base: str, figure: str, **where: object) -> Spread:
        """A policy's figure over another's, seed by seed."""
        return ratio(self.results(policy, **where), self.results(base, **where), figure)

    def difference(self, policy: str, base: str, figure: str, **where: object) -> Spread:
        """A policy's figure minus another's, seed by seed."""
        return difference(self.results(policy, **where), self.results(base, **where), figure)

    def margins(self, policy: str, base: str, **where: object) -> tuple[float, float, float]:
        """A policy's relative gains over another in quality, mean E2E and cost: positive is better."""
        quality, e2e, cost = (
            self.ratio(policy, base, figure, **where).median
            for figure in ("quality", "mean_e2e_s", "cost_usd_per_1k")
        )
        # Figures are printed and rounded to 5 digits: less is no difference.
        return round(quality - 1.0, 5), round(1.0 - e2e, 5), round(1.0 - cost, 5)

    def policies(self) -> list[str]:
        """All policies in the order of their first run."""
        return list(dict.fromkeys(run.policy for run, _ in self.pairs))


@dataclass(frozen=True)
class Named:
    """An experiment by name."""

    name: str
    title: str
    runs: Callable[[Scale], list[Run]]
    blocks: Callable[[Measured], list[Block]]


def grid(policies: Sequence[str], rates: Sequence[float], scale: Scale, **settings: object) -> list[Run]:
    """Policies x rates x seeds, every policy of one rate and seed on the same arrivals."""
    return [
        Run(policy, rate, seed, scale.requests, **settings)  # type: ignore[arg-type]
        for rate in rates
        for seed in scale.seeds
        for policy in policies
    ]
