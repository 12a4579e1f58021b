"""Plots of runs: what each policy trades for what, under which load, and how its queues move.

Every function takes results and gives one figure. Needs matplotlib (`pip install 'rb_litellm[sim]'`); no
display, no global state but the style of this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rb_litellm.sim.report.statistics import Spread, spread
from rb_litellm.sim.results import RunResult

E2E_SLO_S = 5.0
TTFT_SLO_S = 0.25
_POINTS = 200
"""Points of a distribution function: more would not be seen."""
_OURS = "routebalance"
_STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.fonttype": "none",
    "svg.hashsalt": "rb_litellm",
}
_CYCLE = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
_MARKERS = "os^vD<>ph*XP"


def all_plots(results: Sequence[RunResult]) -> dict[str, Figure]:
    """Every plot that the results allow, by its title."""
    plots: dict[str, Callable[[Sequence[RunResult]], Figure]] = {
        "Quality, cost and latency": pareto,
        "Tier mix": tier_mix,
        "Time to first token and to the end": distributions,
    }
    if len({r.rate for r in results}) > 1:
        plots["Latency against load"] = latency_by_load
        plots["Service levels against load"] = attainment_by_load
    if any(r.timeline for r in results):
        plots["Queues over time"] = queues
    return {title: plot(results) for title, plot in plots.items()}


def pareto(results: Sequence[RunResult]) -> Figure:
    """Three panels, each policy a point (median over seeds), at the highest rate; one color a family."""
    rate = max(r.rate for r in results)
    figure, axes = _figure(3, f"at {rate:g} requests/s")
    planes = (
        ("mean_e2e_s", "quality"),
        ("cost_usd_per_1k", "quality"),
        ("cost_usd_per_1k", "mean_e2e_s"),
    )
    groups = _by_policy(r for r in results if r.rate == rate)
    families: dict[str, list[str]] = {}
    for policy in groups:
        families.setdefault(_family(policy), []).append(policy)
    for axis, (x, y) in zip(axes, planes, strict=True):
        for n, (family, policies) in enumerate(families.items()):
            ours = family == _OURS
            axis.plot(
                [spread(groups[p], x).median for p in policies],
                [spread(groups[p], y).median for p in policies],
                "*" if ours else _MARKERS[n % len(_MARKERS)],
                color="crimson" if ours else _CYCLE[2 * n % len(_CYCLE)],
                markersize=8 if ours else 5,
                zorder=3 if ours else 2,
                label=f"{family} ({len(policies)} settings)" if len(policies) > 1 else family,
            )
        axis.set(xlabel=_LABELS[x], ylabel=_LABELS[y])
        axis.xaxis.set_major_locator(MaxNLocator(5))
    _legend(figure, axes[0])
    return figure


def latency_by_load(results: Sequence[RunResult]) -> Figure:
    """Mean and p95 E2E of each policy over the rates, ranges over seeds shaded."""
    figure, axes = _figure(2)
    for axis, name in zip(axes, ("mean_e2e_s", "p95_e2e_s"), strict=True):
        _over_rates(axis, results, lambda runs, name=name: spread(runs, name))  # type: ignore[misc]
        axis.set(xlabel="requests/s", ylabel=_LABELS[name], yscale="log")
    _legend(figure, axes[0])
    return figure


def attainment_by_load(results: Sequence[RunResult]) -> Figure:
    """Share of requests within each service level, over the rates."""
    figure, axes = _figure(2)
    for axis, array, limit_s in zip(axes, ("ttft_s", "e2e_s"), (TTFT_SLO_S, E2E_SLO_S), strict=True):

        def attained(runs: Sequence[RunResult], array: str = array, limit_s: float = limit_s) -> Spread:
            return Spread.of(float(np.mean(getattr(r, array) <= limit_s)) for r in runs)

        _over_rates(axis, results, attained)
        axis.set(xlabel="requests/s", ylabel=f"share with {array[:-2].upper()} <= {limit_s:g} s")
    _legend(figure, axes[0])
    return figure


def tier_mix(results: Sequence[RunResult]) -> Figure:
    """Share of each tier, policy by policy, at the highest rate."""
    rate = max(r.rate for r in results)
    groups = _by_policy(r for r in results if r.rate == rate)
    figure, (axis,) = _figure(1, f"at {rate:g} requests/s", height=1.1 + 0.19 * len(groups))
    left = np.zeros(len(groups))
    for n, tier in enumerate(results[0].tiers):
        shares = np.array([np.mean([np.mean(r.tier == n) for r in runs]) for runs in groups.values()])
        axis.barh(list(groups), shares, left=left, label=tier, color=_CYCLE[2 * n % len(_CYCLE)])
        left += shares
    axis.invert_yaxis()
    axis.grid(False)
    axis.set(xlim=(0, 1), xlabel="share of requests")
    _legend(figure, axis)
    return figure


def distributions(results: Sequence[RunResult]) -> Figure:
    """Distribution functions of TTFT and E2E at the highest rate, all seeds together."""
    rate = max(r.rate for r in results)
    figure, axes = _figure(2, f"at {rate:g} requests/s")
    levels = np.linspace(0.0, 1.0, _POINTS)
    for n, (policy, runs) in enumerate(_by_policy(r for r in results if r.rate == rate).items()):
        for axis, array in zip(axes, ("ttft_s", "e2e_s"), strict=True):
            values = np.quantile(np.concatenate([getattr(r, array) for r in runs]), levels)
            axis.plot(values, levels, color=_color(n), label=policy, linewidth=_width(policy))
    for axis, name in zip(axes, ("TTFT", "E2E"), strict=True):
        axis.set(xlabel=f"{name} (s)", ylabel="share of requests", xscale="log")
    _legend(figure, axes[0])
    return figure


def queues(results: Sequence[RunResult]) -> Figure:
    """Requests in the cluster and on its fullest server over time: the first seed, the highest rate."""
    rate = max(r.rate for r in results)
    first = min(r.seed for r in results if r.timeline)
    figure, axes = _figure(2, f"at {rate:g} requests/s, seed {first}")
    shown = [r for r in results if r.rate == rate and r.seed == first and r.timeline]
    for n, result in enumerate(shown):
        assert result.timeline is not None
        loads = np.array(result.timeline.in_flight)
        for axis, values in zip(axes, (loads.sum(axis=1), loads.max(axis=1)), strict=True):
            axis.plot(
                result.timeline.times_s,
                values,
                color=_color(n),
                label=result.policy,
                linewidth=_width(result.policy),
            )
    axes[0].set(xlabel="s", ylabel="requests in the cluster", yscale="symlog")
    axes[1].set(xlabel="s", ylabel="requests on the fullest server", yscale="symlog")
    _legend(figure, axes[0])
    return figure


def as_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as `png` or `svg`; equal figures give equal bytes."""
    buffer = BytesIO()
    with matplotlib.rc_context(_STYLE):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=110, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()


_LABELS = {
    "mean_e2e_s": "mean E2E (s)",
    "p95_e2e_s": "p95 E2E (s)",
    "quality": "mean quality",
    "cost_usd_per_1k": "USD per 1,000 requests",
}


def _figure(panels: int, title: str = "", height: float = 2.9) -> tuple[Figure, Sequence[Axes]]:
    # Not through pyplot: it keeps figures for ever and wants a display.
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.4 * panels if panels > 1 else 6.5, height), layout="constrained")
        axes = [figure.add_subplot(1, panels, n + 1) for n in range(panels)]
        if title:
            figure.suptitle(title)
    return figure, axes


def _legend(figure: Figure, axis: Axes) -> None:
    with matplotlib.rc_context(_STYLE):
        handles, labels = axis.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _over_rates(
    axis: Axes, results: Sequence[RunResult], figure_of: Callable[[Sequence[RunResult]], Spread]
) -> None:
    for n, (policy, runs) in enumerate(_by_policy(results).items()):
        rates = sorted({r.rate for r in runs})
        spreads = [figure_of([r for r in runs if r.rate == rate]) for rate in rates]
        middle, low, high = ([getattr(s, name) for s in spreads] for name in ("median", "low", "high"))
        axis.plot(rates, middle, ".-", color=_color(n), label=policy, linewidth=_width(policy))
        axis.fill_between(rates, low, high, color=_color(n), alpha=0.15)


def _by_policy(results: Iterable[RunResult]) -> dict[str, list[RunResult]]:
    groups: dict[str, list[RunResult]] = {}
    for result in results:
        groups.setdefault(result.policy, []).append(result)
    return groups


def _family(policy: str) -> str:
    """`routebalance` for all its weights, `classifier+jsq` for all its thresholds, `litellm`."""
    return re.split(r"[:=]", policy)[0]


def _color(n: int) -> tuple[float, float, float]:
    color: tuple[float, float, float] = _CYCLE[n % len(_CYCLE)]
    return color


def _width(policy: str) -> float:
    return 2.0 if policy.startswith(_OURS) else 1.0
