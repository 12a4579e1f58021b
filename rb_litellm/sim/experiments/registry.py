"""The experiments by name, and how one is carried out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.world import WorldFiles, run_all
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Failed

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
    "hold": "features",
    "targets": "features",
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
    where: Where = HERE,
    on_run: Callable[[RunResult | Failed], None] = lambda _: None,
) -> tuple[Measured, list[Failed]]:
    """All runs of the experiment, and those that failed, which leave the others as they are.

    Raises:
        ValueError: as `run_all`.
    """
    runs = experiment.runs(scale)
    outcomes = run_all(files, runs, where, on_run)
    pairs = [(run, made) for run, made in zip(runs, outcomes, strict=True) if not isinstance(made, Failed)]
    return Measured(pairs, files.cluster), [made for made in outcomes if isinstance(made, Failed)]
