"""What the demo found: figures per strategy, model and server, as JSON and as tables.

Quality is the predicted quality of the model that answered, cost is list price times the tokens that the
server reported; both are computed alike for every strategy, from the answers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rb_litellm.demo.load import Answer
from rb_litellm.sim.cluster import PAPER_CLUSTER, Tier

_TIER_OF = {d.id: tier for tier in PAPER_CLUSTER.tiers for d in tier.deployments()}


@dataclass(frozen=True)
class Figures:
    """Sums over some answers; times in s, NaN where there is none."""

    requests: int
    failed: int
    mean_e2e_s: float
    p50_e2e_s: float
    p95_e2e_s: float
    p50_ttft_s: float
    p95_ttft_s: float
    cost_usd: float
    quality: float

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> Figures:
        """Times, cost and quality are those of the answers that came whole."""
        whole = [answer for answer in answers if answer.ok]
        e2e = [answer.e2e_s for answer in whole]
        ttft = [answer.ttft_s for answer in whole if answer.ttft_s is not None]
        return cls(
            requests=len(answers),
            failed=len(answers) - len(whole),
            mean_e2e_s=_mean(e2e),
            p50_e2e_s=_quantile(e2e, 0.5),
            p95_e2e_s=_quantile(e2e, 0.95),
            p50_ttft_s=_quantile(ttft, 0.5),
            p95_ttft_s=_quantile(ttft, 0.95),
            cost_usd=sum(_cost(answer) for answer in whole),
            quality=_mean([_tier(answer).quality for answer in whole]),
        )


@dataclass(frozen=True)
class StrategyRun:
    """All answers under one strategy."""

    strategy: str
    answers: Sequence[Answer]

    @property
    def total(self) -> Figures:
        """Over all answers."""
        return Figures.of(self.answers)

    def by_model(self) -> dict[str, list[Answer]]:
        """Answers by model, small models first; failed ones without a server are left out."""
        found: dict[str, list[Answer]] = {tier.model: [] for tier in PAPER_CLUSTER.tiers}
        for answer in self.answers:
            if answer.deployment in _TIER_OF:
                found[_tier(answer).model].append(answer)
        return found


@dataclass(frozen=True)
class DemoResult:
    """The whole demo."""

    requests: int
    seed: int
    rate: float
    runs: Mapping[str, StrategyRun]

    def as_json(self) -> dict[str, Any]:
        """The document of `routebalance demo --json`."""
        return {
            "requests": self.requests,
            "seed": self.seed,
            "rate": self.rate,
            "strategies": {name: _strategy_json(run) for name, run in self.runs.items()},
        }

    def show(self, console: Console) -> None:
        """One table per strategy by model and server, then all strategies side by side."""
        for name, run in self.runs.items():
            console.print(_servers_table(name, run))
        console.print(self._summary())

    def _summary(self) -> Table:
        title = f"The same {self.requests} requests, {self.rate:g} per second"
        table = _table(
            title, "strategy", "mean E2E s", "p95 E2E s", "p50 TTFT s", "USD per 1,000", "quality", "failed"
        )
        for name, run in self.runs.items():
            total = run.total
            table.add_row(
                name,
                f"{total.mean_e2e_s:.2f}",
                f"{total.p95_e2e_s:.2f}",
                f"{total.p50_ttft_s:.2f}",
                f"{_per_1k(total):.4f}",
                f"{total.quality:.3f}",
                str(total.failed),
            )
        return table


def _strategy_json(run: StrategyRun) -> dict[str, Any]:
    total = run.total
    return {
        "mean_e2e_s": _rounded(total.mean_e2e_s),
        "p95_e2e_s": _rounded(total.p95_e2e_s),
        "p50_ttft_s": _rounded(total.p50_ttft_s),
        "p95_ttft_s": _rounded(total.p95_ttft_s),
        "cost_usd_per_1k": _rounded(_per_1k(total), 6),
        "quality": _rounded(total.quality),
        "failed": total.failed,
        "share": {model: round(len(a) / total.requests, 4) for model, a in run.by_model().items()},
        "deployments": {
            server: {
                "requests": f.requests,
                "p50_e2e_s": _rounded(f.p50_e2e_s),
                "p95_e2e_s": _rounded(f.p95_e2e_s),
            }
            for server, f in _by_server(run)
        },
    }


def _by_server(run: StrategyRun) -> list[tuple[str, Figures]]:
    return [(server, Figures.of([a for a in run.answers if a.deployment == server])) for server in _TIER_OF]


def _servers_table(name: str, run: StrategyRun) -> Table:
    table = _table(
        name,
        "model / server",
        "requests",
        "share",
        "TTFT p50 s",
        "p95",
        "E2E p50 s",
        "p95",
        "USD",
        "quality",
    )
    servers = dict(_by_server(run))
    for model, answers in run.by_model().items():
        table.add_row(*_cells(model, Figures.of(answers), len(run.answers)), style="bold")
        for server, figures in servers.items():
            if _TIER_OF[server].model == model:
                table.add_row(*_cells(f"  {server}", figures, len(run.answers)))
        table.add_section()
    table.add_row(*_cells("all", run.total, len(run.answers)), style="bold")
    return table


def _cells(name: str, figures: Figures, of: int) -> list[str]:
    times = (figures.p50_ttft_s, figures.p95_ttft_s, figures.p50_e2e_s, figures.p95_e2e_s)
    return [
        name,
        str(figures.requests),
        f"{figures.requests / of:.0%}",
        *("-" if np.isnan(t) else f"{t:.2f}" for t in times),
        f"{figures.cost_usd:.5f}",
        "-" if np.isnan(figures.quality) else f"{figures.quality:.3f}",
    ]


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _tier(answer: Answer) -> Tier:
    return _TIER_OF[answer.deployment]


def _cost(answer: Answer) -> float:
    tier = _tier(answer)
    cost = (
        answer.input_tokens * tier.input_usd_per_million + answer.output_tokens * tier.output_usd_per_million
    )
    return cost / 1e6


def _per_1k(figures: Figures) -> float:
    whole = figures.requests - figures.failed
    return figures.cost_usd / whole * 1000.0 if whole else float("nan")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else float("nan")


def _rounded(value: float, digits: int = 4) -> float | None:
    return None if np.isnan(value) else round(value, digits)
