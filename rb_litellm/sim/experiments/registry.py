"""The experiments by name, and how one is carried out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.world import WorldFiles, run_all

NAMES = (
    "cluster",
    "paper-table",
    "front",
    "litellm",
    "rivals",
    "bursts",
    "scale",
    "azure",
    "ablations",
    "slo",
    "hold",
    "targets",
    "norms",
)


def named(name: str) -> Named:
    """The experiment of that name.

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in NAMES:
        raise ValueError(f"unknown experiment {name!r}; there are {', '.join(NAMES)}")
    experiment: Named = import_module(f"rb_litellm.sim.experiments.{name.replace('-', '_')}").EXPERIMENT
    return experiment


def carry_out(
    experiment: Named,
    files: WorldFiles,
    scale: Scale,
    jobs: int = 1,
    on_run: Callable[[RunResult], None] = lambda _: None,
) -> Measured:
    """All runs of the experiment.

    Raises:
        ValueError: as `run_all`.
    """
    runs = experiment.runs(scale)
    results = run_all(files, runs, jobs, on_run)
    return Measured(list(zip(runs, results, strict=True)), files.cluster)
