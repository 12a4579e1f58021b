"""Words, pairs of words and runs of four bytes, weighed by how rare they were in training.

A prompt becomes three hashed bags of n-grams. Each bag holds log(1 + count) times the learned inverse
document frequency and is brought to length 1, so that long prompts weigh no more than short ones. A linear
model reads them: its outputs are sums of a few hundred rows of one table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import IntArray

BITS = 15
BUCKETS = 1 << BITS
"""Of each kind of n-gram; collisions are accepted."""
KINDS = 3
WIDTH = KINDS * BUCKETS

Floats = npt.NDArray[np.float32]

_WORD = re.compile(r"[a-z]+|\d|[^\w\s]|\n")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - BITS)


@dataclass(frozen=True, slots=True)
class Bags:
    """The n-grams of R prompts: E entries, sorted by prompt, then by bucket."""

    row: IntArray
    """(E,) prompt of each entry."""
    bucket: IntArray
    """(E,) in [0, WIDTH)."""
    count: IntArray
    rows: int


def bags(texts: Sequence[str]) -> Bags:
    """Count the n-grams of every text."""
    keys = []
    for row, text in enumerate(texts):
        words = np.array([*map(_hash, _WORD.findall(text.lower()))], dtype=np.uint64)
        pairs = words[:-1] * np.uint64(31) + words[1:]
        data = np.frombuffer(f"\n{text}\n".encode("utf-8", "replace"), dtype=np.uint8).astype(np.uint64)
        runs = data[:-3] * np.uint64(1 << 24) + data[1:-2] * np.uint64(1 << 16)
        runs = runs + data[2:-1] * np.uint64(256) + data[3:]
        base = row * WIDTH
        for kind, grams in enumerate((words, pairs, runs)):
            keys.append(((grams * _MIX) >> _SHIFT).astype(np.int64) + (base + kind * BUCKETS))
    if not keys:
        nothing: IntArray = np.zeros(0, dtype=np.int64)
        return Bags(nothing, nothing, nothing, 0)
    every = np.sort(np.concatenate(keys))
    begins = np.flatnonzero(np.diff(every, prepend=-1))
    found = every[begins]
    return Bags(found // WIDTH, found % WIDTH, np.diff(begins, append=every.size), len(texts))


def weigh(bag: Bags, idf: Floats) -> Floats:
    """Weight of every entry (E,), by `idf` (WIDTH,); each kind of a prompt has length 1, or 0 if unknown."""
    values = np.log1p(bag.count.astype(np.float32)) * idf.take(bag.bucket)
    group = bag.row * KINDS + bag.bucket // BUCKETS
    power = np.bincount(group, weights=values * values, minlength=bag.rows * KINDS)
    scale = 1.0 / np.sqrt(np.maximum(power, 1e-12))
    weights: Floats = (values * scale.take(group)).astype(np.float32)
    return weights


def familiarity(bag: Bags, idf: Floats) -> Floats:
    """Share of each prompt's different n-grams that training had seen, (R,)."""
    seen = np.bincount(bag.row, weights=idf.take(bag.bucket) > 0.0, minlength=bag.rows)
    share: Floats = (seen / np.maximum(np.bincount(bag.row, minlength=bag.rows), 1)).astype(np.float32)
    return share


def project(bag: Bags, weights: Floats, table: Floats) -> Floats:
    """Sums over each prompt's entries of weight times row of `table` (WIDTH, K): (R, K)."""
    result = np.zeros((bag.rows, table.shape[1]), dtype=np.float32)
    if bag.row.size:
        parts = table.take(bag.bucket, axis=0)
        parts *= weights[:, None]
        begins = np.flatnonzero(np.diff(bag.row, prepend=-1))
        result[bag.row[begins]] = np.add.reduceat(parts, begins, axis=0)
    return result


@lru_cache(maxsize=16_384)
def _hash(word: str) -> int:
    return crc32(word.encode("utf-8", "replace"))
