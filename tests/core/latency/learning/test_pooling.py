"""How far a deployment's difference from its tier is believed."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.learning import pooling
from rb_litellm.core.latency.learning.pooling import pooled


def test_small_differences_of_equals_vanish_so_that_ties_are_ties():
    believed = pooled(np.array([0.03, -0.02, 0.01]), np.array([50, 50, 50]))
    assert believed[0] == believed[1] == believed[2]


def test_one_never_tried_is_taken_for_its_siblings_not_for_its_prior():
    believed = pooled(np.array([-2.0, -2.1, 0.0]), np.array([40, 40, 0]))
    assert believed[2] == pytest.approx(-2.0, abs=0.1)


def test_one_never_tried_is_not_as_slow_as_the_only_one_that_was():
    believed = pooled(np.array([2.0, 0.0]), np.array([40, 0]))
    assert believed[1] < believed[0] / 1.5


def test_a_large_difference_is_believed_almost_whole():
    believed = pooled(np.array([0.0, 0.0, np.log(3.0)]), np.array([100, 100, 100]))
    assert np.exp(believed[2]) == pytest.approx(3.0, rel=0.05)


def test_nothing_measured_leaves_the_prior():
    assert pooled(np.zeros(3), np.zeros(3, dtype=int)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", [-0.19, 0.05, 0.19, 1.0])
def test_the_only_one_of_its_tier_is_as_slow_as_it_was_measured(scale):
    """With half of a fifth not believed, every forecast of a single server was a tenth off."""
    assert pooled(np.array([scale]), np.array([40])).tolist() == [scale]


@given(st.lists(st.tuples(st.floats(-6.0, 6.0), st.integers(0, 500)), min_size=2, max_size=16))
def test_few_are_pooled_by_floats_as_many_are_by_arrays(deployments):
    scales, measured = (np.array(its) for its in zip(*deployments, strict=True))
    by_floats = pooling.pooled(scales, measured)
    with mock.patch.object(pooling, "_FEW", 0):
        by_arrays = pooling.pooled(scales, measured)
    assert by_floats.tolist() == by_arrays.tolist()
