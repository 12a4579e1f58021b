"""Compiled loops decide as NumPy does: forecasts to the last bit, scores but for the last bit of a logarithm.

They are plain Python: without numba they are tested uncompiled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.compiled.forecaster import CompiledForecaster
from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.decision.assign import assign
from rb_litellm.core.decision.batch import BatchRequest, Fleet, Prices
from rb_litellm.core.decision.best import best_by_loops, best_by_numpy
from rb_litellm.core.decision.breakdown import Decision
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Norm
from rb_litellm.core.latency.forecast import (
    LatencyCoefficients,
    LatencyForecast,
    LatencyPrior,
    PlainForecaster,
)
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.availability import Failing
from rb_litellm.core.limits.capacity import Capacity, Room
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Slo
from rb_litellm.core.types import InstanceState
from rb_litellm.predictors.compiled import loading
from tests.core.latency_errors import LogUniform

TIMES = ("wait_s", "ttft_s", "tpot_s", "e2e_s", "burden_s")
LOGARITHM = 1e-12
"""Of scores, whose logarithms may differ in their last bit."""

priors = st.builds(
    LatencyPrior,
    tpot_s=st.floats(1e-4, 1.0),
    ttft_s=st.floats(0.0, 5.0),
    prefill_s_per_token=st.floats(0.0, 0.01),
    tpot_s_per_running=st.floats(0.0, 0.1),
    slots=st.sampled_from([1.0, 4.0, 64.0, math.inf]),
)
loads = st.tuples(st.integers(0, 99), st.floats(0.0, 1e5), st.floats(0.0, 1e5))
fleets = st.lists(st.tuples(priors, loads), min_size=1, max_size=6)


@lru_cache(maxsize=1)
def loops() -> Loops:
    return loading.load() if loading.available() else loading.UNCOMPILED


@pytest.fixture
def no_loops() -> Iterator[None]:
    """Whatever a test puts in use is not left there."""
    yield
    IN_USE.loops = None


def state_of(fleet: list[tuple[LatencyPrior, tuple[float, float, float]]]) -> InstanceState:
    return InstanceState(*np.array([load for _, load in fleet], dtype=float).T.copy())


@settings(deadline=None)
@given(fleets, st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e4), st.floats(0, 1e4)), max_size=6))
def test_forecasts_are_those_of_numpy_bit_for_bit(fleet, joining):
    coefficients = LatencyCoefficients.from_priors([prior for prior, _ in fleet])
    coefficients.prefill_share[:] = np.linspace(0.0, 0.9, len(fleet))
    IN_USE.loops = loops()
    compiled = CompiledForecaster(loops(), coefficients, state_of(fleet))
    plain = PlainForecaster(coefficients, state_of(fleet))
    output_tokens = np.linspace(0.0, 900.0, len(fleet))
    for row, prefill_tokens, written in [*joining, (0, 1.0, 1.0)]:
        for prefill in (prefill_tokens, np.full(len(fleet), prefill_tokens), int(prefill_tokens)):
            found, expected = (its.forecast(prefill, output_tokens) for its in (compiled, plain))
            for name in TIMES:
                assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
        for its in (compiled, plain):
            its.join(row % len(fleet), prefill_tokens, written)
    assert IN_USE.loops is not None
    IN_USE.loops = None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.5, 0.5 + 1e-10, 0.7, -math.inf, math.nan]),
            st.integers(0, 2),
            st.sampled_from([-math.inf, 1.0, 2.0]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 9),
)
def test_the_best_is_that_of_numpy_ties_included(rows, seed):
    scores, in_flight, last_chosen = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = best_by_loops(loops(), scores, in_flight, last_chosen, Random(seed))
    assert found == best_by_numpy(scores, in_flight, last_chosen, Random(seed))


@settings(deadline=None, max_examples=50)
@given(
    fleets,
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 99)), min_size=1, max_size=8),
    st.sampled_from(["absolute", "paper"]),
)
def test_a_batch_goes_where_numpy_sends_it(fleet, asked, norm: Norm):
    draws = [np.random.default_rng(seed) for _, seed in asked]
    count = len(fleet)
    requests = [
        BatchRequest(
            tokens,
            draw.random(count),
            draw.uniform(1.0, 900.0, count),
            np.ones(count, dtype=np.bool_),
            JointScore(PRESETS["standard"], norm=norm),
        )
        for (tokens, _), draw in zip(asked, draws, strict=True)
    ]

    def decided(with_loops: Loops | None) -> list[Decision]:
        IN_USE.loops = with_loops
        there = Fleet(
            LatencyCoefficients.from_priors([prior for prior, _ in fleet]),
            state_of(fleet),
            Prices(np.full(count, 1e-6), np.linspace(1e-6, 3e-6, count)),
            np.full(count, -np.inf),
        )
        made = assign(requests, there, 10.0, Random(0))
        assert IN_USE.loops is with_loops
        IN_USE.loops = None
        assert all(isinstance(decision, Decision) for decision in made)
        return made  # type: ignore[return-value]

    for found, expected in zip(decided(loops()), decided(None), strict=True):
        assert found.index == expected.index
        assert found.prediction == expected.prediction
        assert found.score == pytest.approx(expected.score, abs=LOGARITHM)
        for ours, theirs in zip(found.breakdown.terms, expected.breakdown.terms, strict=True):
            assert np.allclose(ours.value, theirs.value, rtol=0.0, atol=LOGARITHM)


batches = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.sampled_from([JointScore(PRESETS["standard"]), JointScore(PRESETS["cost"], norm="paper")]),
        st.sampled_from([None, Limits(Slo(e2e_s=20.0, mode="tiered")), Limits(admission=Admission(60.0))]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("by_loops", [False, True])
@settings(deadline=None, max_examples=100)
@given(fleets, batches, st.booleans(), st.booleans(), st.sampled_from([9.0, 1000.0]))
def test_a_batch_is_placed_as_its_requests_one_after_another(
    by_loops, deployments, asked, shared, failing, most_at_once
):
    count = len(deployments)
    there = np.arange(count) // 2

    def a_fleet() -> Fleet:
        fails = np.where(there == 0, 0.2, 0.0)
        return Fleet(
            LatencyCoefficients.from_priors([prior for prior, _ in deployments]),
            state_of(deployments),
            Prices(
                np.full(count, 1e-6),
                np.linspace(1e-6, 3e-6, count),
                failing=Failing(*[fails] * 6) if failing else None,
            ),
            np.full(count, -np.inf),
            latency_errors=LogUniform(),
            servers=there if shared else None,
            room=Room(
                Capacity(*[np.full(count, most_at_once * k) for k in (1, 999, 1)]), *np.zeros((3, count))
            ),
        )

    requests = []
    for length, (seed, objective, limits) in enumerate(asked):
        draw = np.random.default_rng(seed)
        allowed = draw.random(count) > 0.3
        allowed[0] = True
        # Longest first: the order in which a batch is placed.
        written = np.full(count, 900.0 - 100.0 * length)
        requests.append(BatchRequest(seed * 50.0, draw.random(count), written, allowed, objective, limits))

    IN_USE.loops = loops() if by_loops else None
    at_once, one_by_one = a_fleet(), a_fleet()
    together = assign(requests, at_once, 10.0, Random(0))
    random = Random(0)
    apart = [assign([request], one_by_one, 10.0, random)[0] for request in requests]
    IN_USE.loops = None
    for found, expected in zip(together, apart, strict=True):
        assert type(found) is type(expected)
        assert np.allclose(found.breakdown.scores, expected.breakdown.scores, rtol=0.0, atol=LOGARITHM)
        if isinstance(found, Decision):
            assert found.index == expected.index
            assert found.prediction == expected.prediction
            assert (found.in_flight, found.candidates) == (expected.in_flight, expected.candidates)
    assert at_once.state.in_flight.tolist() == one_by_one.state.in_flight.tolist()
    assert at_once.state.pending_decode_tokens.tolist() == one_by_one.state.pending_decode_tokens.tolist()
    assert at_once.last_chosen_s.tolist() == one_by_one.last_chosen_s.tolist()
    assert at_once.room.tokens.tolist() == one_by_one.room.tokens.tolist()


def test_loops_that_fail_in_the_middle_of_a_batch_leave_it_to_numpy(no_loops):
    coefficients = LatencyCoefficients.from_priors([LatencyPrior(0.02, 0.1, 1e-4, 1e-3, 8.0)] * 2)
    failures: list[Exception] = []
    compiled = CompiledForecaster(loading.UNCOMPILED, coefficients, InstanceState.idle(2))

    def broken(*_):
        raise TypeError("no matching definition")

    IN_USE.use(replace(loading.UNCOMPILED, forecast_times=broken), failures.append)
    compiled.join(1, 100.0, 50.0)
    plain = PlainForecaster(coefficients, InstanceState.idle(2))
    plain.join(1, 100.0, 50.0)
    tokens = np.full(2, 30.0)
    assert compiled.forecast(10.0, tokens).e2e_s.tolist() == plain.forecast(10.0, tokens).e2e_s.tolist()
    assert len(failures) == 1
    assert IN_USE.loops is None


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_batch_whose_loop_fails_is_placed_to_its_end(no_loops, after):
    calls: list[object] = []

    def breaking(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            raise TypeError("no matching definition")
        return loading.UNCOMPILED.place_several(*arguments)

    there = Fleet(
        LatencyCoefficients.from_priors([LatencyPrior(0.02, 0.1, 1e-4, 1e-3, 8.0)] * 3),
        InstanceState.idle(3),
        Prices(np.full(3, 1e-6), np.full(3, 1e-6)),
        np.full(3, -np.inf),
    )
    everyone = np.ones(3, dtype=np.bool_)
    requests = [BatchRequest(50.0, np.full(3, 0.5), np.full(3, 99.0), everyone) for _ in range(7)]
    failures: list[Exception] = []
    # Three are alike, so the loop is called again and again.
    IN_USE.use(replace(loading.UNCOMPILED, place_several=breaking), failures.append)
    made = assign(requests, there, 10.0, Random(0))
    assert len(failures) == 1
    assert sorted(np.bincount([decision.index for decision in made])) == [2, 2, 3]
    assert there.state.in_flight.sum() == 7.0
    assert there.state.pending_decode_tokens.sum() == pytest.approx(7 * 99.0)
    assert [decision.breakdown.scores[decision.index] for decision in made] == pytest.approx(
        [decision.score for decision in made]
    )


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(0.0, 1e4)] * 3), min_size=1, max_size=6), st.booleans())
def test_all_that_is_priced_counts_in_what_times_are_worth(rows, failing):
    e2e_s, burden_s, failures_s = (np.array(column) for column in zip(*rows, strict=True))
    times = LatencyForecast(e2e_s, e2e_s, e2e_s, e2e_s, burden_s, failures_s if failing else None)
    objective, allowed = JointScore(PRESETS["standard"]), np.ones(e2e_s.size, dtype=np.bool_)
    expected = objective.latency(times, allowed).value
    IN_USE.loops = loops()
    found = objective.latency(times, allowed).value
    assert IN_USE.loops is not None
    IN_USE.loops = None
    assert np.allclose(found, expected, rtol=0.0, atol=LOGARITHM)
