"""Features of the prompts of a data set for training: structure, n-grams, and the scale of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from rb_litellm.core.types import IntArray, Prompt
from rb_litellm.predictors import lexicon
from rb_litellm.predictors.encoder import clip, standard
from rb_litellm.predictors.lexicon import Bags, Floats
from rb_litellm.predictors.structure import structure

MIN_SEEN = 2
"""Least number of prompts that an n-gram must occur in."""


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
class PromptFeatures:
    """Unscaled features of P prompts."""

    plain: Floats
    """(P, STRUCTURE)"""
    bag: Bags

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> PromptFeatures:
        """The features of these prompts."""
        texts = [clip(prompt.text) for prompt in prompts]
        contents = [text.encode("utf-8", "replace") for text in texts]
        return cls(structure(prompts, texts, contents), lexicon.bags(contents))

    def scale(self, rows: IntArray) -> Scale:
        """Learned from the given prompts only."""
        chosen = np.zeros(len(self.plain), dtype=np.bool_)
        chosen[rows] = True
        entries = np.repeat(chosen, np.diff(self.bag.begins))
        seen = np.bincount(self.bag.bucket[entries], minlength=lexicon.WIDTH)
        rarity = np.log((1.0 + len(rows)) / (1.0 + seen)) + 1.0
        idf = np.where(seen >= MIN_SEEN, rarity, 0.0).astype(np.float16).astype(np.float32)
        plain = self.plain[rows]
        return Scale(seen, idf, plain.mean(axis=0), plain.std(axis=0) + np.float32(1e-3))

    def matrix(self, scale: Scale) -> Any:
        """All prompts as a SciPy CSR matrix (P, WIDTH + STRUCTURE)."""
        entries = (lexicon.weigh(self.bag, scale.idf)[0], self.bag.bucket, self.bag.begins)
        grams = sparse.csr_matrix(entries, shape=(len(self.plain), lexicon.WIDTH))
        plain = sparse.csr_matrix(standard(self.plain, scale.centre, scale.spread))
        return sparse.hstack([grams, plain], format="csr")
