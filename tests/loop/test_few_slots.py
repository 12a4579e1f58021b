"""Servers that run few requests at once, and for which another one makes all of them much slower.

llama.cpp on a processor takes 12.5 ms for a token of one answer and 37 ms for a token of two at once.
"""

from statistics import median

import pytest

from tests.loop.test_queues import QUIET, SERVICE, burst, errors, one_by_one
from tests.loop.world import Server, World

both_ways = pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
steepness = pytest.mark.parametrize(
    ("slots", "steep"), [(2, 0.0001), (2, 0.3), (2, 1.0), (2, 2.0), (4, 0.5), (4, 1.0)]
)


def world(slots, steep, **facts):
    return World([Server("a", slots=slots, steep=steep, **SERVICE, **facts)], QUIET)


@both_ways
@steepness
def test_after_eight_at_once_forecasts_are_as_before(slots, steep, streams):
    """At twice as long for two at once, 21% and 29% off on a real llama-server."""
    its = world(slots, steep)
    one_by_one(its, 10, streams=streams)
    burst(its, 8, streams=streams)
    assert max(errors(one_by_one(its, 5, streams=streams))) < 0.3


@both_ways
@steepness
def test_after_rounds_of_three_times_the_slots_forecasts_of_an_idle_server_hold(slots, steep, streams):
    """50% and 68% off: what a full server took had become what an idle one takes."""
    its = world(slots, steep)
    for _ in range(8):
        burst(its, 3 * slots, streams=streams)
    assert median(errors(one_by_one(its, 5, streams=streams))) < 0.3


@both_ways
@steepness
def test_a_full_server_is_forecast_as_a_full_one(slots, steep, streams):
    its = world(slots, steep)
    for _ in range(5):
        burst(its, 3 * slots, streams=streams)
    late = [s for _ in range(3) for s in burst(its, 3 * slots, streams=streams)]
    assert median(errors(late)) < 0.15
