"""The table of all runs, medians and ranges over their seeds."""

from __future__ import annotations

from collections.abc import Sequence

from rb_litellm.sim.report.blocks import Table
from rb_litellm.sim.report.statistics import spread
from rb_litellm.sim.results import RunResult

_FIGURES = (
    ("mean_e2e_s", "mean E2E (s)", 3),
    ("p95_e2e_s", "p95 E2E (s)", 3),
    ("p95_ttft_s", "p95 TTFT (s)", 3),
    ("quality", "quality", 4),
    ("cost_usd_per_1k", "USD per 1,000", 4),
)


def runs_table(results: Sequence[RunResult]) -> Table:
    """Every policy at every rate, medians and ranges over the seeds."""
    groups: dict[tuple[float, str], list[RunResult]] = {}
    for result in results:
        groups.setdefault((result.rate, result.policy), []).append(result)
    rows = tuple(
        (
            policy,
            f"{rate:g}",
            *(spread(runs, name).text(digits) for name, _, digits in _FIGURES),
            str(sum(r.failed for r in runs)),
        )
        for (rate, policy), runs in groups.items()
    )
    seeds = len({r.seed for r in results})
    columns = ("policy", "requests/s", *(label for _, label, _ in _FIGURES), "failed")
    return Table("All runs", columns, rows, f"Median [smallest, largest] of {seeds} seeds.")
