"""Which deployments a worker that is one of several does not look at."""

from random import Random

import numpy as np
import pytest

from rb_litellm.core.decision.sampling import MIN_SAMPLE, CandidateSampling


def left_out(workers, alike, seed=0):
    alike = np.array(alike, dtype=bool)
    return (
        CandidateSampling(workers, np.zeros(alike.size, dtype=np.int64))
        .left_out(alike, Random(seed))
        .tolist()
    )


@pytest.mark.parametrize("workers", [1, 16])
def test_a_tier_of_few_is_looked_at_whole(workers):
    assert left_out(workers, [True] * MIN_SAMPLE) == []


@pytest.mark.parametrize(("workers", "looked_at"), [(1, 100), (2, 50), (3, 34), (16, MIN_SAMPLE)])
def test_one_of_k_workers_looks_at_a_kth_but_at_no_fewer_than_a_few(workers, looked_at):
    rows = left_out(workers, [True] * 100)
    assert len(set(rows)) == len(rows) == 100 - looked_at


def test_only_those_alike_are_passed_over():
    assert all(row % 2 for row in left_out(4, [False, True] * 50))


def test_the_part_is_drawn_anew_each_time():
    assert left_out(2, [True] * 100, seed=0) != left_out(2, [True] * 100, seed=1)
