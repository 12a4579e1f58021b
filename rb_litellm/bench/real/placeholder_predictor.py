"""A placeholder predictor for measurements: as large as a real one, and trained on made-up prompts.

Its predictions mean nothing; only their cost counts. Its trees are many and full, because the made-up labels
follow from the words of a prompt, and there is a lot to learn about words.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rb_litellm.core.types import Prompt
from rb_litellm.predictors.trained.model import Predictor
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.pipeline import train_predictor

PROMPTS = 400
_TEXT = (
    "the of a routing model system latency how quality why server queue code proof integral list write "
    "explain sum name def return class summarise translate poem history chemistry 12 3 2026 json table email"
)
_WORDS = tuple(_TEXT.split())


def prompt(random: np.random.Generator, words: int) -> str:
    """A made-up prompt of `words` words."""
    return " ".join(random.choice(_WORDS, words)) + "?"


def train_placeholder(models: Sequence[str], out: Path) -> Predictor:
    """Train on PROMPTS made-up prompts, always the same, and write the folder `out`; some seconds."""
    random = np.random.default_rng(0)
    texts = [prompt(random, int(random.integers(5, 300))) for _ in range(PROMPTS)]
    counts = np.array([[text.split().count(word) for word in _WORDS] for text in texts], dtype=np.float64)
    signal = np.log1p(counts) @ random.normal(size=(len(_WORDS), len(models)))
    # Some of it noise: boosting then stops after about as many rounds as on real answers.
    signal = (signal - signal.mean(axis=0)) / signal.std(axis=0) + 0.5 * random.normal(size=signal.shape)
    return train_predictor(
        Dataset(
            prompts=tuple(Prompt(text=text, input_tokens=len(text) // 4) for text in texts),
            prompt_ids=tuple(f"{i:016x}" for i in range(PROMPTS)),
            tasks=("",) * PROMPTS,
            models=tuple(models),
            quality=np.clip(0.5 + 0.1 * signal, 0.0, 1.0),
            output_tokens=np.exp(5.0 + 0.4 * signal),
            rows=PROMPTS * len(models),
            sha256="",
        ),
        out,
    )
