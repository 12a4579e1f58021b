"""A choice is priced over the calls of a loop that come after it, and chance alone moves nobody."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.horizon import GROWTH, Horizon
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.servers.threads import ExpectedCalls
from rb_litellm.core.types import FloatArray, InstanceState

seconds = st.floats(0.01, 100.0)
further = st.floats(0.0, 200.0)


def horizon(calls: float, count: int, home: int | None = None, error: float = 0.0) -> Horizon:
    return Horizon(
        further=calls,
        cached_tokens=np.zeros(count),
        load=InstanceState.idle(count),
        pace=np.ones(count),
        growth=np.full(count, GROWTH),
        home=home,
        error=error,
        expected=ExpectedCalls(None, calls, 3.0, 5.0),
        thread="t",
        input_tokens=1000.0,
        tools=True,
    )


def forecast(*e2e_s: float) -> LatencyForecast:
    times = np.array(e2e_s)
    return LatencyForecast(np.zeros(times.size), times, times, times, np.zeros(times.size))


def priced(its: Horizon, now: LatencyForecast, then: LatencyForecast) -> FloatArray:
    return its.priced(now, then).priced_s


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6))
def test_with_no_call_to_come_only_this_one_counts(times: list[tuple[float, float]]) -> None:
    now, then = forecast(*(t[0] for t in times)), forecast(*(t[1] for t in times))
    assert priced(horizon(0.0, len(times)), now, then) == pytest.approx(now.priced_s)


@given(seconds, seconds, seconds, further, further)
def test_more_calls_to_come_never_make_the_worse_server_look_better(
    now: float, lost: float, worse: float, few: float, more: float
) -> None:
    """Where the second is slower for the calls to come, whatever the first loses by being gone to."""
    few, more = sorted((few, more))
    here, there = forecast(now + lost, now), forecast(now, now + worse)
    margins = [float(np.diff(priced(horizon(calls, 2), here, there))[0]) for calls in (few, more)]
    assert margins[1] >= margins[0] - 1e-9


@given(seconds, seconds, seconds, seconds, further)
def test_who_is_worse_now_and_later_is_worse_over_any_horizon(
    now: float, then: float, worse_now: float, worse_then: float, calls: float
) -> None:
    better, worse = priced(
        horizon(calls, 2), forecast(now, now + worse_now), forecast(then, then + worse_then)
    )
    assert better <= worse


@given(seconds, st.floats(0.0, 1.0), st.integers(2, 50), further)
def test_a_loop_stays_for_a_difference_that_errors_explain(
    now: float, error: float, count: int, calls: float
) -> None:
    """The best of N equal servers looks quicker by about error * sqrt(2 ln N), by chance alone."""
    lucky = now * math.exp(-0.99 * error * math.sqrt(2.0 * math.log(count)))
    times = forecast(now, *([lucky] * (count - 1)))
    cost_s = priced(horizon(calls, count, home=0, error=error), times, times)
    assert cost_s[0] <= cost_s[1:].min() + 1e-9


@given(seconds, st.floats(0.0, 0.5), further)
def test_a_first_call_has_no_home_to_stay_at(now: float, error: float, calls: float) -> None:
    cost_s = priced(horizon(calls, 2, home=None, error=error), forecast(now, now), forecast(now, now))
    assert cost_s[0] == pytest.approx(cost_s[1])


@given(st.lists(st.tuples(seconds, seconds), min_size=2, max_size=2), further)
def test_a_mean_cost_lies_between_this_calls_and_the_next_ones(
    usd: list[tuple[float, float]], calls: float
) -> None:
    now, then = np.array(usd).T
    mean = horizon(calls, 2).mean(now, then)
    assert (mean >= np.minimum(now, then) * (1 - 1e-9)).all()
    assert (mean <= np.maximum(now, then) * (1 + 1e-9)).all()


def test_who_has_more_requests_on_average_costs_the_others_more() -> None:
    its = horizon(10.0, 2)
    its.load.in_flight[:] = [4.0, 1.0]
    cost_s = priced(its, forecast(1.0, 1.0), forecast(1.0, 1.0))
    assert cost_s[0] > cost_s[1]


def test_a_hosted_api_shows_no_load_and_none_is_taken_for_it() -> None:
    its = horizon(10.0, 2)
    its.growth[:] = 0.0
    its.load.in_flight[:] = [40.0, 1.0]
    cost_s = priced(its, forecast(1.0, 1.0), forecast(1.0, 1.0))
    assert cost_s[0] == cost_s[1]
