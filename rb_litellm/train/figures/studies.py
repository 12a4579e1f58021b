"""How well training generalises: the whole of it, repeated on parts of the data and judged on the rest.

    splits   80 % of the prompts train, 20 % judge, anew for every seed
    tasks    one task at a time is left out of training and judges

Nothing of the judging part is looked at before it judges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rb_litellm.core.types import IntArray
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.figures.evaluation import evaluate
from rb_litellm.train.pipeline import train_predictor

Kind = Literal["splits", "tasks"]
TEST_SHARE = 0.2


def study(
    kind: Kind,
    data: Dataset,
    prices: Mapping[str, float] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Run a study: `{"study", "runs": [...], "mean": {...}}`, one run per split or task.

    A run holds the figures of `evaluate` with the route's gain over two models: the best on the judging
    part (`gain`), and the one that was best in training (`gain_over_trained_best`), which is what an
    operator could have chosen.

    Raises:
        DataError: too few prompts, or fewer than two tasks.
    """
    parts = list(_splits(data, seeds) if kind == "splits" else _tasks(data))
    runs = []
    for done, (name, train, test) in enumerate(parts):
        runs.append(
            {kind.removesuffix("s"): name, **_run(data.take(train), data.take(test), prices, seeds[0])}
        )
        progress(done + 1, len(parts))
    return {"study": kind, "runs": runs, "mean": _means(runs)}


def _run(train: Dataset, test: Dataset, prices: Mapping[str, float] | None, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        predictor = train_predictor(train, Path(folder) / "model", seed)
    report = evaluate(predictor, test, prices, seed)
    routing = report["routing"]
    routing.pop("curve", None)
    known = {model.name: model.quality for model in predictor.known}
    if "argmax_quality" in routing:
        trained_best = max(routing["models"], key=lambda name: known[name] or 0.0)
        column = test.models.index(trained_best)
        rows = np.isfinite(test.quality).all(axis=1)
        gain = routing["argmax_quality"] - float(test.quality[rows, column].mean())
        routing["trained_best"] = trained_best
        routing["gain_over_trained_best"] = round(gain, 6)
    return {"prompts": len(test.prompts), "routing": routing, "models": report["models"]}


def _splits(data: Dataset, seeds: Sequence[int]) -> Iterator[tuple[int, IntArray, IntArray]]:
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(data.prompts))
        held = max(int(TEST_SHARE * len(order)), 1)
        yield seed, np.sort(order[held:]), np.sort(order[:held])


def _tasks(data: Dataset) -> Iterator[tuple[str, IntArray, IntArray]]:
    tasks = np.array(data.tasks)
    names = sorted(set(data.tasks) - {""})
    if len(names) < 2:
        raise DataError("--study tasks needs rows with `task`, of at least two tasks")
    for name in names:
        yield name, np.flatnonzero(tasks != name), np.flatnonzero(tasks == name)


def _means(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    figures = (
        "best_single_quality",
        "argmax_quality",
        "oracle_quality",
        "gain",
        "gain_over_trained_best",
        "cost_ratio_at_best_single_quality",
        "curve_area",
    )
    told = {name: [run["routing"].get(name) for run in runs] for name in figures}
    known = {name: [v for v in values if v is not None] for name, values in told.items()}
    return {name: round(float(np.mean(values)), 6) for name, values in known.items() if values}
