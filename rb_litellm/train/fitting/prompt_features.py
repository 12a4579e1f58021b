"""Features of the prompts of a data set for training: structure, n-grams, and the scale of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from rb_litellm.core.types import IntArray, Prompt
from rb_litellm.predictors.reading import lexicon
from rb_litellm.predictors.reading.encoder import clip, standard
from rb_litellm.predictors.reading.lexicon import Bags, Floats
from rb_litellm.predictors.reading.structure import histograms, structure

MIN_SEEN = 2
"""Least number of prompts that an n-gram must occur in."""
PIECE = 2_000


@dataclass(frozen=True)
class Scale:
    """Statistics of some prompts, by which the features of all prompts are scaled."""

    seen: IntArray
    """(WIDTH,) number of prompts that an n-gram occurs in."""
    idf: Floats
    """(WIDTH,) as the encoder holds it."""
    centre: Floats
    """(STRUCTURE,)"""
    spread: Floats


@dataclass(frozen=True)
class Moments:
    """Of some prompts: what their scale is learned from. Those of parts make up those of the whole."""

    rows: int
    seen: IntArray
    """(WIDTH,) number of prompts that an n-gram occurs in."""
    mean: Floats
    """(STRUCTURE,)"""
    deviation: Floats
    """(STRUCTURE,) standard deviation."""

    @classmethod
    def together(cls, parts: Sequence[Moments]) -> Moments:
        """Those of all parts; of a single one, its own bit for bit."""
        rows = sum(part.rows for part in parts)
        means = np.array([part.mean for part in parts], dtype=np.float64)
        deviations = np.array([part.deviation for part in parts], dtype=np.float64)
        shares = np.array([[part.rows] for part in parts], dtype=np.float64)
        mean = (shares * means).sum(axis=0) / rows
        deviation = np.sqrt((shares * (deviations**2 + (means - mean) ** 2)).sum(axis=0) / rows)
        seen = np.sum([part.seen for part in parts], axis=0)
        return cls(rows, seen, mean.astype(np.float32), deviation.astype(np.float32))

    def scale(self) -> Scale:
        """The scale that is learned from them."""
        rarity = np.log((1.0 + self.rows) / (1.0 + self.seen)) + 1.0
        idf = np.where(self.seen >= MIN_SEEN, rarity, 0.0).astype(np.float16).astype(np.float32)
        return Scale(self.seen, idf, self.mean, self.deviation + np.float32(1e-3))


@dataclass(frozen=True)
class PromptFeatures:
    """Unscaled features of P prompts, worked on in pieces: the n-grams of a piece are many, those of all are
    kept packed."""

    plain: Floats
    """(P, STRUCTURE)"""
    bags: tuple[Bags, ...]
    """Of PIECE prompts each, in order; packed."""

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> PromptFeatures:
        """The features of these prompts."""
        pieces = [_read(prompts[at : at + PIECE]) for at in range(0, len(prompts), PIECE)]
        return cls(np.concatenate([plain for plain, _ in pieces]), tuple(bag for _, bag in pieces))

    def scale(self, rows: IntArray) -> Scale:
        """Learned from the given prompts only."""
        return self.moments(rows).scale()

    def moments(self, rows: IntArray) -> Moments:
        """Of the given prompts only."""
        chosen = np.zeros(len(self.plain), dtype=np.bool_)
        chosen[rows] = True
        seen = np.zeros(lexicon.WIDTH, dtype=np.int64)
        for first, bag in self._pieces():
            entries = np.repeat(chosen[first : first + bag.rows], np.diff(bag.begins))
            seen += np.bincount(bag.bucket[entries], minlength=lexicon.WIDTH)
        plain = self.plain[rows]
        return Moments(len(rows), seen, plain.mean(axis=0), plain.std(axis=0))

    def matrix(self, scale: Scale) -> Any:
        """All prompts as a SciPy CSR matrix (P, WIDTH + STRUCTURE)."""
        parts = []
        for first, bag in self._pieces():
            entries = (lexicon.weigh(bag, scale.idf)[0], bag.bucket.astype(np.int32), bag.begins)
            grams = sparse.csr_matrix(entries, shape=(bag.rows, lexicon.WIDTH))
            plain = standard(self.plain[first : first + bag.rows], scale.centre, scale.spread)
            parts.append(sparse.hstack([grams, sparse.csr_matrix(plain)], format="csr"))
        return sparse.vstack(parts, format="csr")

    def familiarity(self, idf: Floats) -> Floats:
        """Share of each prompt's different n-grams that are known by `idf`, (P,)."""
        return np.concatenate([lexicon.weigh(bag, idf)[1] for _, bag in self._pieces()])

    def _pieces(self) -> Iterator[tuple[int, Bags]]:
        """Each piece, unpacked, and the number of its first prompt."""
        first = 0
        for bag in self.bags:
            yield first, Bags(bag.kinds, bag.bucket.astype(np.int64), bag.count.astype(np.int64))
            first += bag.rows


def _read(prompts: Sequence[Prompt]) -> tuple[Floats, Bags]:
    texts = [clip(prompt.text) for prompt in prompts]
    contents = [text.encode("utf-8", "replace") for text in texts]
    bag = lexicon.bags(contents)
    # An n-gram that stands in a prompt more often counts as this often.
    count = np.minimum(bag.count, 255).astype(np.uint8)
    packed = Bags(bag.kinds, bag.bucket.astype(np.uint16), count)  # type: ignore[arg-type]
    return structure(prompts, texts, contents, histograms(contents)), packed
