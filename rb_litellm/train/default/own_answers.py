"""What training on a few answers of one's own adds to the default predictor, and what that adds to it.

Prompts are held out of the default predictor. Of these some are a user's: four models' answers to them are
trained on. The others judge three predictors: the trained one alone, the default one alone, and both together
as they are served.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.default.predictor import DefaultPredictor
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import CARD, PROMPTS
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default.fit import fit_default
from rb_litellm.train.default.level_and_steepness import TASKS, task_of
from rb_litellm.train.fitting.fit import fit
from rb_litellm.train.fitting.share_of_default import beside_trained
from rb_litellm.train.folder import write_folder

HELD = 0.4
"""Share of the prompts that the default predictor is not trained on."""
MODELS = 4
ROWS = (100, 300, 1_000, 3_000)
SEEDS = tuple(range(10))
BATCH = 256
WIDE = ("math_level5", "code_output")
SETS: Mapping[str, tuple[str, ...]] = {
    "tasks": tuple(task for names in TASKS.values() for task in names.split() if task not in (*WIDE, "chat")),
    "mathematics and code": WIDE,
    "chat": ("chat",),
}
"""Tasks that a user's prompts are of."""


def report(
    data: Dataset,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Any]:
    """By set and number of answers: squared error and quality of the argmax of the three, means over `seeds`,
    and for how many of them both together are worse than the better one of the two, at all and beyond the 95%
    interval of that over prompts."""
    prompts = len(data.prompts)
    held = np.random.default_rng(12_345 + seed).permutation(prompts)[: int(HELD * prompts)]
    default = fit_default(data.take(np.setdiff1d(np.arange(prompts), held)), seed).predictor()
    tasks = np.array([task_of(name) for name in data.tasks])
    found: dict[str, Any] = {}
    for done, (name, among) in enumerate(SETS.items()):
        pool = held[np.isin(tasks[held], among)]
        runs: dict[int, list[dict[str, Any]]] = {}
        for own_seed in seeds:
            for rows, run in _runs(data, pool, default, own_seed):
                runs.setdefault(rows, []).append(run)
        found[name] = {str(rows): {**_means(each), "seeds": each} for rows, each in sorted(runs.items())}
        progress(done + 1, len(SETS))
    return found


def _runs(
    data: Dataset, pool: IntArray, default: DefaultPredictor, seed: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """For each number of answers the figures of one choice of models and prompts out of `pool`."""
    random = np.random.default_rng(1_000 + seed)
    often = np.isfinite(data.quality[pool]).mean(axis=0) > 0.95
    models = np.sort(random.choice(np.flatnonzero(often), MODELS, replace=False))
    order = random.permutation(pool)
    order = order[np.isfinite(data.quality[order][:, models]).all(axis=1)]
    own = min(max(ROWS) // MODELS, len(order) // 2)
    judging = np.sort(order[own:])
    for rows in ROWS:
        if rows // MODELS <= own:
            yield rows, _run(data, default, models, np.sort(order[: rows // MODELS]), judging, seed)


def _run(
    data: Dataset, default: DefaultPredictor, models: IntArray, own: IntArray, judging: IntArray, seed: int
) -> dict[str, Any]:
    names = [data.models[at] for at in models]
    answers = data.take(own).for_models(names)
    fitted = fit(answers, seed)
    beside = beside_trained(answers, fitted.unseen_quality, seed, default)
    files = {
        "model.json": json.dumps({**fitted.meta, **beside.as_json()}).encode(),
        "encoder.npz": fitted.encoder,
        "booster.ubj": fitted.booster,
        CARD: b"{}",
        PROMPTS: b"",
    }
    with tempfile.TemporaryDirectory() as folder:
        trained = write_folder(Path(folder) / "trained", files)
    sources = {
        "trained": PredictionSource(trained),
        "default": PredictionSource(default=default),
        "together": PredictionSource(trained, default=default),
    }
    quality = data.quality[judging][:, models]
    figures: dict[str, Any] = {"seed": seed, "models": names, "share_of_default": float(beside.share.max())}
    errors, earned = {}, {}
    for name, source in sources.items():
        told = _told(source, data, judging, names)
        errors[name] = ((told - quality) ** 2).mean(axis=1)
        earned[name] = quality[np.arange(len(told)), told.argmax(axis=1)]
        figures[name] = {
            "squared_error": round(float(errors[name].mean()), 4),
            "argmax_quality": round(float(earned[name].mean()), 4),
        }
    best = {name: -error for name, error in errors.items()}
    figures["lost"] = {"squared_error": _lost(best), "argmax_quality": _lost(earned)}
    return figures


def _lost(good: Mapping[str, FloatArray]) -> dict[str, float]:
    """By how much both together are worse than the better one alone, by figures (P,) of which more is better,
    and half of the 95% interval of that over prompts."""
    better = max(("trained", "default"), key=lambda name: float(good[name].mean()))
    lost = good[better] - good["together"]
    within = 1.96 * float(lost.std()) / float(np.sqrt(len(lost)))
    return {"mean": round(float(lost.mean()), 5), "within": round(within, 5)}


def _told(source: PredictionSource, data: Dataset, rows: IntArray, names: Sequence[str]) -> FloatArray:
    models = [ModelInfo(name, name) for name in names]
    parts = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    return np.concatenate(
        [source.predict([data.prompts[row] for row in part], models).quality for part in parts]
    )


def _means(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {
        name: {
            figure: round(float(np.mean([run[name][figure] for run in runs])), 4)
            for figure in ("squared_error", "argmax_quality")
        }
        for name in ("trained", "default", "together")
    }
    for figure in ("squared_error", "argmax_quality"):
        lost = [run["lost"][figure] for run in runs]
        means[f"worse_in_{figure}"] = {
            "seeds": sum(one["mean"] > 0.0 for one in lost),
            "beyond_noise": sum(one["mean"] > one["within"] for one in lost),
            "of": len(lost),
            "most": round(max(one["mean"] for one in lost), 4),
        }
    return means
