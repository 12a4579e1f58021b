"""Prompts that share words come into one cluster, always the same way."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from rb_litellm.train.fitting.clusters import PROMPTS_OF_CLUSTER, clusters

GROUPS, EACH = 3, PROMPTS_OF_CLUSTER


def prompts() -> sparse.csr_matrix:
    """Each group has twenty words of its own, ten of them in each prompt; all share a few."""
    dice = np.random.default_rng(0)
    rows = np.zeros((GROUPS * EACH, 80), dtype=np.float32)
    for number, row in enumerate(rows):
        row[20 * (number % GROUPS) + dice.choice(20, 10, replace=False)] = 1.0
        row[60 + dice.choice(20, 3, replace=False)] = 1.0
    return sparse.csr_matrix(rows)


def test_groups_are_found() -> None:
    names = np.array(clusters(prompts(), GROUPS, np.random.default_rng(0)))
    for group in range(GROUPS):
        assert len(set(names[group::GROUPS])) == 1
    assert len(set(names)) == GROUPS


def test_the_same_prompts_and_seed_give_the_same_clusters() -> None:
    one, two = (clusters(prompts(), GROUPS, np.random.default_rng(7)) for _ in range(2))
    assert one == two


def test_a_few_prompts_are_not_parted() -> None:
    assert set(clusters(prompts()[:150], GROUPS, np.random.default_rng(0))) == {""}
