"""Prompts as numbers for the routers that RouteBalance is compared with: hashed words and a few counts.

What our own predictor reads is in `predictors/reading/encoder.py`. Deterministic: the same prompt gives the
same row in every process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log1p
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import Prompt

MAX_CHARS = 6_000
"""Characters that are looked at: half from the start, half from the end, where the question stands."""
WORD_BUCKETS = 256
"""Hashed words; collisions are accepted."""

_WORD = re.compile(r"[a-z]+|\d+|[^\w\s]")
_COUNTED = (
    "?",
    "\n",
    "```",
    "def ",
    "\\",
    "=",
    "$",
    "a)",
    "(a)",
    "a.",
    "- ",
    "1.",
    ":",
    '"',
    "http",
    "who ",
    "how ",
    "why ",
)
_STRUCTURE = 9 + len(_COUNTED)
FEATURES = _STRUCTURE + WORD_BUCKETS


def featurise(prompts: Sequence[Prompt]) -> npt.NDArray[np.float32]:
    """Features of R prompts, shape (R, FEATURES)."""
    rows = np.zeros((len(prompts), FEATURES), dtype=np.float32)
    for row, prompt in zip(rows, prompts, strict=True):
        text = clip(prompt.text).lower()
        words = _WORD.findall(text)
        row[:_STRUCTURE] = _structure(prompt, text, words)
        if words:
            row[_STRUCTURE:] = np.log1p(np.bincount([*map(_bucket, words)], minlength=WORD_BUCKETS))
    return rows


@lru_cache(maxsize=16_384)
def _bucket(word: str) -> int:
    return crc32(word.encode("utf-8", "replace")) % WORD_BUCKETS


def clip(text: str) -> str:
    """The start and the end of a long text, MAX_CHARS characters in all."""
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]


def _structure(prompt: Prompt, text: str, words: list[str]) -> list[float]:
    return [
        log1p(prompt.input_tokens),
        log1p(len(words)),
        log1p(prompt.system_chars),
        float(prompt.turns),
        float(prompt.tools),
        float(prompt.images),
        float(prompt.json_output),
        sum(map(len, words)) / max(len(words), 1),
        sum(map(str.isdigit, words)) / max(len(words), 1),
        *(log1p(text.count(sign)) for sign in _COUNTED),
    ]
