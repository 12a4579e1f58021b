"""What the demo found: figures per strategy, model and server, as JSON and as tables.

Quality is the share of answers that were right, by what the servers say (`truth`). Where they say
nothing, as of prompts of your own, it is the mean of the published scores of the models that answered.
Cost is list price times the tokens that the server reported. All are computed alike for every strategy,
from the answers alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rb_litellm.demo.load import Answer
from rb_litellm.demo.truth import published
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Tier

_SLIGHT = 0.02
"""Differences up to this share are called none."""
_BUSY_MS = 20.0
"""A choice that takes longer by the median waits for a processor; on two idle cores it takes 1 to 2 ms."""
_SHOWN_ERROR = 300
"""Characters of an error."""
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
            quality=_mean([_quality(answer) for answer in whole]),
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
    """Ours first."""
    presets: Mapping[str, StrategyRun] = field(default_factory=dict)
    """Ours at other weights."""

    def as_json(self) -> dict[str, Any]:
        """The document of `routebalance demo --json`."""
        return {
            "requests": self.requests,
            "seed": self.seed,
            "rate": self.rate,
            "strategies": {name: _strategy_json(run) for name, run in self.runs.items()},
            "presets": {name: _strategy_json(run) for name, run in self.presets.items()},
        }

    def show(self, console: Console) -> None:
        """Where each strategy sent the requests, all strategies side by side, and what that means."""
        console.print(self._models())
        console.print(self._summary())
        for sentence in (*failures(self), *sentences(self)):
            console.print(sentence, highlight=False)

    def _all(self) -> Iterator[tuple[str, StrategyRun]]:
        yield from self.runs.items()
        for name, run in self.presets.items():
            yield f"  at {name}", run

    def _models(self) -> Table:
        models = [tier.model for tier in PAPER_CLUSTER.tiers]
        # Without what all of them have in common, the table fits 80 columns.
        sizes = [model.rpartition("-")[2] for model in models]
        family = models[0].rpartition("-")[0]
        table = _table(f"Share of the requests by size of {family}", "strategy", *sizes, "servers")
        for name, run in self._all():
            by_model = run.by_model()
            shares = [f"{len(by_model[model]) / len(run.answers):.0%}" for model in models]
            used = sum(figures.requests > 0 for _, figures in _by_server(run))
            table.add_row(name, *shares, str(used))
        return table

    def _summary(self) -> Table:
        title = f"The same {self.requests} requests, {self.rate:g} per second"
        table = _table(title, "strategy", "right", "mean E2E", "p95", "p50 TTFT", "USD/1k", "failed")
        for name, run in self._all():
            total = run.total
            table.add_row(
                name,
                f"{total.quality:.1%}",
                f"{total.mean_e2e_s:.2f} s",
                f"{total.p95_e2e_s:.2f} s",
                f"{total.p50_ttft_s:.2f} s",
                f"{_per_1k(total):.4f}",
                str(total.failed),
            )
        return table


def failures(result: DemoResult) -> list[str]:
    """Of each strategy under which requests failed: how many, and what the first one was told."""
    told = []
    for name, run in (*result.runs.items(), *result.presets.items()):
        errors = [answer.error for answer in run.answers if answer.error is not None]
        if errors:
            first = " ".join(errors[0].split())[:_SHOWN_ERROR]
            told.append(
                f"{name}: {len(errors)} of {len(run.answers)} requests failed, the first with: {first}"
            )
    return told


def sentences(result: DemoResult) -> list[str]:
    """What was gained against each strategy, what that costs, and what to try next."""
    (_, ours), *others = result.runs.items()
    compared = "; ".join(f"against {name}, {_against(ours.total, run.total)}" for name, run in others)
    said = [f"Gained or lost: {compared}."] if others else []
    waits = [float(a.routebalance["decision-ms"]) for a in ours.answers if "decision-ms" in a.routebalance]
    if waits:
        said.append(
            f"What it costs: {_quantile(waits, 0.5):.1f} ms of the proxy's time for the choice "
            f"(median; 95% within {_quantile(waits, 0.95):.1f} ms), and no call to anybody else."
        )
        if _quantile(waits, 0.5) > _BUSY_MS:
            said.append(
                "This machine was busy: the choice waited for a processor, and so did the simulated servers. "
                "Times say little here; run it again on an idle one."
            )
    if result.presets:
        steps = "; ".join(
            f"`{name}` gave {_against(run.total, ours.total)}" for name, run in result.presets.items()
        )
        unbeaten = [
            f"`{name}`"
            for name, run in result.presets.items()
            if others and all(not beats(other.total, run.total) for _, other in others)
        ]
        if unbeaten:
            steps += (
                f". At {' and at '.join(unbeaten)} no other strategy is better by more than 2% in any of them"
            )
        said.append(
            "To try next: other weights, by header `x-routebalance-weights` or in the settings; here "
            f"{steps}."
        )
    return said


def beats(one: Figures, other: Figures) -> bool:
    """Whether the first is better by more than _SLIGHT in quality, mean E2E or cost."""
    return (
        one.quality > other.quality * (1.0 + _SLIGHT)
        or one.mean_e2e_s * (1.0 + _SLIGHT) < other.mean_e2e_s
        or _per_1k(one) * (1.0 + _SLIGHT) < _per_1k(other)
    )


def _against(one: Figures, other: Figures) -> str:
    right = (one.quality - other.quality) * 100.0
    slower = _change(one.mean_e2e_s, other.mean_e2e_s)
    dearer = _change(_per_1k(one), _per_1k(other))
    return (
        f"{_signed(right, ' points')} right answers, {_signed(slower, '%')} time, {_signed(dearer, '%')} cost"
    )


def _change(one: float, other: float) -> float:
    return (one / other - 1.0) * 100.0 if other else float("nan")


def _signed(value: float, unit: str) -> str:
    return "-" if np.isnan(value) else f"{value:+.1f}{unit}"


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


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _tier(answer: Answer) -> Tier:
    return _TIER_OF[answer.deployment]


def _quality(answer: Answer) -> float:
    return published(_tier(answer).model) if answer.right is None else float(answer.right)


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
