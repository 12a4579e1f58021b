"""The experiments by name, and how one is carried out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.world import WorldFiles, run_all

_ROOM = {
    "cluster": "comparisons",
    "paper-table": "comparisons",
    "front": "comparisons",
    "litellm": "comparisons",
    "rivals": "comparisons",
    "bursts": "loads",
    "scale": "loads",
    "azure": "loads",
    "ablations": "comparisons",
    "slo": "loads",
    "hold": "loads",
    "targets": "loads",
    "norms": "comparisons",
    "reference": "comparisons",
}
"""Of each experiment the folder that its module stands in; imported when it is asked for."""
NAMES = tuple(_ROOM)


def named(name: str) -> Named:
    """The experiment of that name.

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in NAMES:
        raise ValueError(f"unknown experiment {name!r}; there are {', '.join(NAMES)}")
    module = import_module(f"rb_litellm.sim.experiments.{_ROOM[name]}.{name.replace('-', '_')}")
    experiment: Named = module.EXPERIMENT
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
