"""The score's two forms on every experiment: `absolute`, which is the default, against the paper's.

Both meet the same arrivals with the same weights, under every load that another experiment has. A change of
form moves a setting along the front of quality, time and cost; what matters is that it gives up little of one
figure, and gains in others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rb_litellm.sim.experiments.comparisons import ablations, front, litellm, paper_table, rivals
from rb_litellm.sim.experiments.loads import azure, bursts, scale, slo
from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.statistics import ratio
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.world import Run

PAPER = ":paper"
LEAST = 0.01
"""Share by which a figure has to be worse to be told."""
_EXPERIMENTS = (paper_table, litellm, bursts, ablations, rivals, front, scale, slo)
_WITHOUT_FORM = ("routebalance-priced", "routebalance-targets")
_LESS_IS_BETTER = {"mean_e2e_s": True, "p95_e2e_s": True, "quality": False, "cost_usd_per_1k": True}


@dataclass(frozen=True)
class _Change:
    """What the form changes under one load: ratios, absolute over paper, medians over the seeds."""

    run: Run
    ratios: dict[str, float]

    def gain(self, figure: str) -> float:
        """By what share the figure is better; below 0 it is worse."""
        change = self.ratios[figure] - 1.0
        return -change if _LESS_IS_BETTER[figure] else change

    def worst(self) -> float:
        """The least gain of all figures."""
        return min(map(self.gain, _LESS_IS_BETTER))


def runs(its: Scale) -> list[Run]:
    """Ours of every experiment, each once and in both forms; the trace's where one is given."""
    every = [run for experiment in _EXPERIMENTS for run in experiment.runs(its)]
    every += azure.runs(its) if its.trace is not None else []
    ours = [
        run
        for run in every
        if run.policy.startswith("routebalance") and not run.policy.startswith(_WITHOUT_FORM)
    ]
    return [form for run in dict.fromkeys(ours) for form in (run, replace(run, policy=run.policy + PAPER))]


def blocks(measured: Measured) -> list[Block]:
    """A summary of all loads, and each load under which a figure is worse."""
    changes = list(_changes(measured))
    told = [change for change in changes if change.worst() < -LEAST]
    none = Claim(
        "no figure is worse by more than 1%",
        f"one is in {len(told)} of {len(changes)} loads and settings",
        not told,
    )
    return [Block(_summary(changes), (none,)), Block(_table(told))]


def _summary(changes: list[_Change]) -> Table:
    rows = []
    for figure in _LESS_IS_BETTER:
        found = sorted(change.ratios[figure] for change in changes)
        shown = (f"{found[n]:.3f}" for n in (0, len(found) // 2, -1))
        better = sum(change.gain(figure) > LEAST for change in changes)
        worse = sum(change.gain(figure) < -LEAST for change in changes)
        rows.append((figure, *shown, f"{better}", f"{worse}"))
    columns = ("absolute over paper", "least", "median", "most", "better by 1%", "worse by 1%")
    return Table(f"The two forms under {len(changes)} loads and settings", columns, tuple(rows))


def _table(changes: list[_Change]) -> Table:
    rows = tuple(
        (_named(its.run), *(f"{100.0 * (its.ratios[figure] - 1.0):+.1f}%" for figure in _LESS_IS_BETTER))
        for its in changes
    )
    columns = ("", "mean E2E", "p95 E2E", "quality", "cost")
    return Table("Where a figure is worse by more than 1%: absolute over paper", columns, rows)


def _changes(measured: Measured) -> Iterator[_Change]:
    by_setting: dict[Run, tuple[list[RunResult], list[RunResult]]] = {}
    for run, result in measured.pairs:
        own, papers = by_setting.setdefault(
            replace(run, seed=0, policy=run.policy.removesuffix(PAPER)), ([], [])
        )
        (papers if run.policy.endswith(PAPER) else own).append(result)
    for setting, (own, papers) in by_setting.items():
        yield _Change(setting, {figure: ratio(own, papers, figure).median for figure in _LESS_IS_BETTER})


def _named(run: Run) -> str:
    words = [run.policy, f"{run.rate:g}/s"]
    usual: dict[str, Callable[[Run], str]] = {
        "arrivals": lambda its: "a trace" if "/" in its.arrivals else its.arrivals,
        "workload": lambda its: its.workload,
        "deployments": lambda its: f"{its.deployments} deployments",
        "workers": lambda its: f"{its.workers} workers",
        "gauges_s": lambda its: f"gauges {its.gauges_s:g} s",
    }
    plain = Run("", 0.0)
    words += [tell(run) for name, tell in usual.items() if getattr(run, name) != getattr(plain, name)]
    return ", ".join(words)


EXPERIMENT = Named("norms", "The score's two forms", runs, blocks)
