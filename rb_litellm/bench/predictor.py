"""What a prediction costs: from a prompt's text to quality and length of the proxy's models.

All that a decision does for it is timed: tokens counted, features, trees, blend, length quantiles, caps; no
prompt is seen twice. The parts are timed in turns within one run. Run by `routebalance bench predictor`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.bench.stand_in import prompt, train_stand_in
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.model import Predictor
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.predictors.tokens import estimate_tokens

MODELS = ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-72b")
BATCH = 32
LARGE_CHARS = 220_000
_WORDS = 190
"""About 200 tokens."""

_Measure = Callable[[list[str]], object]


def run(predictor: Path | None, repeats: int = 300, seed: int = 0) -> dict[str, Any]:
    """Measure; `{"rows": [...]}` with times in milliseconds per prompt.

    `predictor` is a trained folder, of which four models are asked for (all, if it has fewer); without one, a
    stand-in of the usual size is trained. `repeats` calls are timed of each row, after a tenth as many.
    """
    with tempfile.TemporaryDirectory(prefix="routebalance-bench-") as folder:
        if predictor is None:
            train_stand_in(MODELS, Path(folder) / "stand-in")
        loaded = Predictor.load(predictor or Path(folder) / "stand-in")
    asked = loaded.models[: len(MODELS)]
    return {
        "seed": seed,
        "repeats": repeats,
        "predictor": "stand-in" if predictor is None else str(predictor),
        "version": loaded.version,
        "models": list(asked),
        "trained_models": len(loaded.models),
        "rows": _rows(loaded, asked, repeats, np.random.default_rng(seed)),
    }


def _rows(
    predictor: Predictor, asked: Sequence[str], repeats: int, random: np.random.Generator
) -> list[dict[str, Any]]:
    source = PredictionSource(predictor)
    models = [ModelInfo(name, name) for name in asked]

    def predicted(texts: list[str]) -> object:
        return source.predict(_prompts(texts), models)

    def large() -> str:
        return (prompt(random, _WORDS) + " ") * (LARGE_CHARS // 1_000 + 1)

    parts: dict[tuple[str, int, int], tuple[_Measure, Callable[[], list[str]]]] = {}
    sizes: tuple[tuple[int, int, Callable[[], str]], ...] = (
        (1, 200, lambda: prompt(random, _WORDS)),
        (BATCH, 200, lambda: prompt(random, _WORDS)),
        (1, LARGE_CHARS, lambda: large()[:LARGE_CHARS]),
    )
    for batch, size, text in sizes:

        def texts(batch: int = batch, text: Callable[[], str] = text) -> list[str]:
            return [text() for _ in range(batch)]

        parts["tokens", batch, size] = (_prompts, texts)
        parts["all", batch, size] = (predicted, texts)
    samples: dict[tuple[str, int, int], list[float]] = {key: [] for key in parts}
    for turn in range(-(repeats // 10), repeats):
        for key, (measure, made) in parts.items():
            given = made()
            began = time.perf_counter()
            measure(given)
            took = time.perf_counter() - began
            if turn >= 0:  # The first turns warm up.
                samples[key].append(took / len(given))
    rows = []
    for (part, batch, size), taken in samples.items():
        p50, p99 = np.percentile(np.array(taken) * 1e3, (50, 99))
        asked = f"{size // 1000} KB" if size >= 1000 else f"{size} tokens"
        times = {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4)}
        rows.append({"prompt": asked, "batch": batch, "part": part, **times})
    return rows


def _prompts(texts: Sequence[str]) -> list[Prompt]:
    return [Prompt(text, estimate_tokens(text)) for text in texts]
