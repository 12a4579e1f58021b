"""Kinds of prompts where the data name none: clusters of prompts with similar words, found without labels.

The prompts' n-grams are brought to a few dimensions (latent semantic analysis) and parted by k-means on the
unit sphere. Clusters are coarser than tasks that somebody named, and much better than no kinds at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds

from rb_litellm.core.types import IntArray
from rb_litellm.predictors.reading.lexicon import Floats

DIMENSIONS = 32
PROMPTS_OF_CLUSTER = 100
"""Least mean number of prompts in a cluster; too few prompts for two clusters are one."""
MAX_READ = 10_000
"""Prompts that the dimensions are found from, a random part of them."""
_ROUNDS = 30


@dataclass(frozen=True)
class Clusters:
    """Clusters that were found, for any prompts on the same scale."""

    dimensions: Floats
    """(D, F)"""
    centres: Floats
    """(K, D)"""

    @classmethod
    def find(cls, matrix: Any, most: int, random: np.random.Generator) -> Clusters | None:
        """Those of the rows of `matrix` (P, F), `most` at most; None where there are too few rows."""
        rows = int(matrix.shape[0])
        count = min(most, rows // PROMPTS_OF_CLUSTER)
        if count < 2:
            return None
        part = matrix
        if rows > MAX_READ:
            part = matrix[np.sort(random.choice(rows, MAX_READ, replace=False))]
        # Given, so that the same rows give the same dimensions.
        start = np.ones(min(part.shape), dtype=np.float32)
        _, _, dimensions = svds(part, k=DIMENSIONS, v0=start)
        return cls(dimensions, _centres(_places(matrix, dimensions), count, random))

    def nearest(self, matrix: Any) -> IntArray:
        """The number of the cluster of each row of `matrix` (P, F)."""
        return np.asarray((_places(matrix, self.dimensions) @ self.centres.T).argmax(axis=1))


def clusters(matrix: Any, most: int, random: np.random.Generator) -> tuple[str, ...]:
    """A name for the cluster of each row of `matrix` (P, F), all empty where there are too few rows."""
    found = Clusters.find(matrix, most, random)
    return names(found.nearest(matrix)) if found else ("",) * int(matrix.shape[0])


def names(nearest: IntArray) -> tuple[str, ...]:
    """Names of clusters."""
    return tuple(f"cluster {number:02d}" for number in nearest.tolist())


def _places(matrix: Any, dimensions: Floats) -> Floats:
    """Unit vectors (P, D)."""
    places = np.asarray(matrix @ dimensions.T, dtype=np.float32)
    places /= np.linalg.norm(places, axis=1, keepdims=True) + 1e-9
    return places


def _centres(places: Floats, count: int, random: np.random.Generator) -> Floats:
    """Centres (K, D) of clusters of the unit vectors (P, D)."""
    # k-means++: each centre is drawn from the vectors far from those before it.
    centres = places[random.integers(len(places))][None]
    for _ in range(count - 1):
        far = np.maximum(1.0 - (places @ centres.T).max(axis=1), 0.0).astype(np.float64) + 1e-12
        centres = np.concatenate([centres, places[random.choice(len(places), p=far / far.sum())][None]])
    for _ in range(_ROUNDS):
        nearest = (places @ centres.T).argmax(axis=1)
        sums = np.eye(count, dtype=np.float32)[nearest].T @ places
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0.0, sums / np.maximum(lengths, 1e-9), centres)
    return np.asarray(centres, dtype=np.float32)
