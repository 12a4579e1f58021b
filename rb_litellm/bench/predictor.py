"""What a prediction costs: from a prompt's text to quality and length of the proxy's models.

All that a decision does for it is timed: counting the prompt's tokens, which is done without a predictor
too ("tokens"), then features, trees, blend, length quantiles and caps ("prediction"). No prompt is seen
twice; the sizes take turns within one run. Machines differ, and one differs from hour to hour: beside it
stands, in the same turns, one call of XGBoost's own prediction, of four outputs by 100 trees of depth 6 from
features that are there already ("xgboost"). The predictor that ships is asked for four models and for
sixteen: a prompt is read once however many there are. Times are the thread's own on the processor.
Compiled loops take turns with NumPy, too, and what it takes to load them is told. Run by `routebalance bench
predictor`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xgboost

from rb_litellm.bench.real.placeholder_predictor import prompt, train_placeholder
from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.compiled.loading import load
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.reading.tokens import count_tokens
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.predictors.trained.model import Predictor

MODELS = ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-72b")
SIXTEEN = (
    *MODELS,
    "llama-3.1-8b-instruct",
    "llama-3.3-70b-instruct",
    "mistral-7b-instruct-v0.3",
    "mistral-large-2407",
    "gemma-2-9b-it",
    "gemma-2-27b-it",
    "phi-4",
    "deepseek-v3",
    "gpt-4o-mini",
    "gpt-4o",
    "claude-3-5-haiku-20241022",
    "claude-3-5-sonnet-20241022",
)
"""For the predictor that ships, which knows any model."""
BATCH = 32
LARGE_CHARS = 220_000
_SIZES = (("200 tokens", 1), ("200 tokens", BATCH), ("220 KB", 1))
_WORDS = 190
"""About 200 tokens."""


def run(
    predictor: Path | Literal["default"] | None, repeats: int = 300, seed: int = 0, compiled: bool = False
) -> dict[str, Any]:
    """Measure; `{"rows": [...]}` with times in milliseconds per prompt.

    `predictor` is a trained folder, of which four models are asked for (all, if it has fewer), or the one
    that ships; without any, a placeholder of the usual size is trained. `repeats` calls are timed of each
    row, after a tenth as many.

    Raises:
        ImportError, RuntimeError: `compiled` is asked for, and numba is missing or does not compile.
    """
    loading, ways = _loaded() if compiled else ({}, {"numpy": None})
    source, sets, about = _shipped() if predictor == "default" else _trained(predictor)
    rows = _rows(source, sets, repeats, np.random.default_rng(seed), ways)
    named = "placeholder" if predictor is None else str(predictor)
    return {
        "seed": seed,
        "repeats": repeats,
        "predictor": named,
        "version": source.version,
        **about,
        **loading,
        "rows": rows,
    }


def _shipped() -> tuple[PredictionSource, list[tuple[str, ...]], dict[str, Any]]:
    return PredictionSource(default=packaged()), [MODELS, SIXTEEN], {"models": list(SIXTEEN)}


def _trained(folder: Path | None) -> tuple[PredictionSource, list[tuple[str, ...]], dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="routebalance-bench-") as placeholder:
        if folder is None:
            train_placeholder(MODELS, Path(placeholder) / "placeholder")
        loaded = Predictor.load(folder or Path(placeholder) / "placeholder")
    asked = tuple(loaded.models[: len(MODELS)])
    return PredictionSource(loaded), [asked], {"models": list(asked), "trained_models": len(loaded.models)}


def _loaded() -> tuple[dict[str, Any], dict[str, Loops | None]]:
    """What it takes to load compiled loops, and both ways to predict."""
    memory, began = _own_mb(), time.process_time()
    ways = {"numpy": None, "compiled": load()}
    took = time.process_time() - began
    return {"loading": {"cpu_s": round(took, 2), "own_memory_mb": round(_own_mb() - memory, 1)}}, ways


def _own_mb() -> float:
    """Memory of this process that no other one can share."""
    told = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in told if line.startswith("Anonymous:")) / 1024


def _rows(
    source: PredictionSource,
    sets: Sequence[tuple[str, ...]],
    repeats: int,
    random: np.random.Generator,
    ways: Mapping[str, Loops | None],
) -> list[dict[str, Any]]:
    asked = {len(names): [ModelInfo(name, name) for name in names] for names in sets}
    samples: dict[tuple[str, int, int, str, str], list[float]] = {}
    yardstick = _yardstick(random)
    for turn in range(-(repeats // 10), repeats):
        # What comes first in a turn finds the processor's cache full of other things.
        order = list(ways)[:: 1 if turn % 2 else -1]
        for (size, batch), count, way in product(_SIZES, asked, order):
            IN_USE.loops = ways[way]
            texts = [_text(size, random) for _ in range(batch)]
            began = time.thread_time()
            prompts = [*map(Prompt, texts, count_tokens(texts))]
            read = time.thread_time()
            source.predict(prompts, asked[count])
            ended = time.thread_time()
            took = {"tokens": read - began, "prediction": ended - read, "all": ended - began}
            if size == "200 tokens":
                took["xgboost"] = yardstick(batch)
            if turn >= 0:  # The first turns warm up.
                for part, seconds in took.items():
                    samples.setdefault((size, batch, count, way, part), []).append(seconds / batch)
    IN_USE.loops = None
    rows = []
    for (size, batch, count, way, part), taken in samples.items():
        p50, p99 = np.percentile(np.array(taken) * 1e3, (50, 99))
        times = {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4)}
        row = {"prompt": size, "batch": batch, "models": count, "by": way, "part": part}
        rows.append({**row, **times})
    return rows


def _yardstick(random: np.random.Generator) -> Callable[[int], float]:
    """Seconds of one call for this many rows."""
    features = random.random((500, 60), dtype=np.float32)
    settings = {"max_depth": 6, "nthread": 1, "objective": "reg:squarederror"}
    booster = xgboost.train(settings, xgboost.DMatrix(features, random.random((500, 4))), 100)

    def timed(rows: int) -> float:
        began = time.thread_time()
        booster.inplace_predict(features[:rows], validate_features=False)
        return time.thread_time() - began

    return timed


def _text(size: str, random: np.random.Generator) -> str:
    if size == "200 tokens":
        return prompt(random, _WORDS)
    return ((prompt(random, _WORDS) + " ") * (LARGE_CHARS // 500))[:LARGE_CHARS]
