"""What is true of the demo's prompts: which model answers which of them right, and at what length.

Each prompt of `prompts.jsonl` has a kind and a level from 1 (easy) to 5 (hard), set by hand. A model's chance
to answer it right is its published score in a benchmark of that kind, moved in log-odds by the level:

    chance = 1 / (1 + exp(-(ln(score / (1 - score)) + SHIFT[level])))

The scores are those of the Qwen2.5 technical report (arXiv 2412.15115, instruction-tuned models): MMLU-
Pro for knowledge, MATH for mathematics, HumanEval for code, IFEval for instructions; for chat and
reasoning the means of MMLU-Pro and IFEval, and of MMLU-Pro and MATH. Whether an answer is right is drawn
once for a prompt and a seed. So every strategy meets the same luck, and a stronger model is right
wherever a weaker one is. Of all this the proxy is told what an operator can read of a model, the mean of its
four published scores, and nothing of kinds and levels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

BUILT_IN = Path(__file__).with_name("prompts.jsonl")

RIGHT, WRONG = " [right]", " [wrong]"
"""What a mock server ends an answer with, for the client to read."""

SHIFT: Mapping[int, float] = {1: 2.5, 2: 1.25, 3: 0.0, 4: -1.25, 5: -2.5}

_MMLU_PRO = (0.437, 0.563, 0.637, 0.711)
_MATH = (0.659, 0.755, 0.800, 0.831)
_HUMAN_EVAL = (0.744, 0.848, 0.835, 0.866)
_IF_EVAL = (0.582, 0.712, 0.810, 0.841)
MODELS = ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-72b")


def _mean(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple((a + b) / 2.0 for a, b in zip(one, other, strict=True))


SCORES: Mapping[str, tuple[float, ...]] = {
    "knowledge": _MMLU_PRO,
    "mathematics": _MATH,
    "code": _HUMAN_EVAL,
    "instructions": _IF_EVAL,
    "chat": _mean(_MMLU_PRO, _IF_EVAL),
    "reasoning": _mean(_MMLU_PRO, _MATH),
}
"""By kind of prompt, for each of MODELS."""


def published(model: str) -> float:
    """The mean of the four published scores of one of MODELS."""
    at = MODELS.index(model)
    scores = [scores[at] for scores in (_MMLU_PRO, _MATH, _HUMAN_EVAL, _IF_EVAL)]
    return round(sum(scores) / len(scores), 3)


LENGTHS: Mapping[str, float] = {
    "knowledge": 0.8, "mathematics": 1.3, "code": 1.5, "instructions": 0.5, "chat": 1.0, "reasoning": 1.0,
}  # fmt: skip
"""Mean length of an answer by kind, against the model's mean over all kinds."""
LONGER: Mapping[int, float] = {1: 0.3, 2: 0.7, 3: 1.0, 4: 1.4, 5: 1.7}
"""And by level."""


@dataclass(frozen=True)
class Known:
    """Kind and level of one prompt."""

    kind: str
    level: int

    def chance(self, model: str) -> float | None:
        """That `model` answers right; None for a model that is not one of MODELS."""
        if model not in MODELS:
            return None
        score = SCORES[self.kind][MODELS.index(model)]
        odds = math.log(score / (1.0 - score)) + SHIFT[self.level]
        return 1.0 / (1.0 + math.exp(-odds))

    @property
    def longer(self) -> float:
        """How long an answer is on average, against the model's mean."""
        return LENGTHS[self.kind] * LONGER[self.level]


class Truth:
    """What is true of the prompts of one file, for one seed."""

    def __init__(self, known: Mapping[str, Known], seed: int = 0) -> None:
        self._known = known
        self._seed = seed

    def of(self, prompt: str) -> Known | None:
        """Kind and level of a prompt; None where nobody stated them."""
        return self._known.get(prompt)

    def right(self, prompt: str, model: str) -> bool | None:
        """Whether the model's answer is right; None where that is not known."""
        known = self._known.get(prompt)
        chance = None if known is None else known.chance(model)
        if chance is None:
            return None
        digest = blake2b(f"{self._seed}\0{prompt}".encode("utf-8", "replace"), digest_size=8).digest()
        return (int.from_bytes(digest, "big") + 0.5) / 2.0**64 < chance


def read_truth(path: Path = BUILT_IN, seed: int = 0) -> Truth:
    """From JSON lines with `prompt`, and `kind` and `level` where they are known.

    Raises:
        ValueError: a kind or a level is none of those above; names the line.
    """
    known: dict[str, Known] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line) if line.strip() else {}
            if row.get("kind") is None or row.get("level") is None:
                continue
            if row["kind"] not in SCORES or row["level"] not in SHIFT:
                raise ValueError(
                    f"{path}, line {number}: kind {row['kind']!r}, level {row['level']!r}; allowed are "
                    f"{', '.join(SCORES)} and 1 to 5"
                )
            known[row["prompt"]] = Known(row["kind"], row["level"])
    return Truth(known, seed)
