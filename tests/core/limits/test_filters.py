"""Filters: what is told at a glance of candidates that all pass is what they are told one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.breakdown import Predictions
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.budget import Budget, payable
from rb_litellm.core.limits.filters import Limits, apply, static_limits_met
from rb_litellm.core.limits.slo import Slo
from tests.core.latency_errors import LogUniform

N = 4
INPUT_USD = OUTPUT_USD = np.array([0.0, 1e-6, 1e-5, 1e-4])
# Few values, so that all candidates pass about as often as some fail.
seconds = st.sampled_from([0.1, 1.0, 9.0])
each = st.lists(seconds, min_size=N, max_size=N).map(np.array)
slos = st.builds(
    Slo,
    ttft_s=st.none() | seconds,
    tpot_s=st.none() | seconds,
    e2e_s=st.none() | seconds,
    quality_min=st.sampled_from([None, 0.1, 0.5]),
    max_cost_usd=st.sampled_from([None, 1e-3, 1.0]),
    mode=st.sampled_from(["strict", "tiered", "prefer"]),
)
limits = st.builds(
    Limits,
    st.none() | slos,
    st.none() | st.builds(Budget, st.sampled_from([1e-3, 1.0]), st.just(50.0)),
    st.none() | st.builds(Admission, seconds),
)
predicted = st.builds(
    lambda wait, ttft, tpot, e2e, quality: Predictions(
        quality, np.full(N, 100.0), LatencyForecast(wait, ttft, tpot, e2e), 100.0 * OUTPUT_USD
    ),
    *[each] * 4,
    st.lists(st.sampled_from([0.2, 0.6, np.nan]), min_size=N, max_size=N).map(np.array),
)


def filtered(asked, predictions, at_a_glance):
    pays = payable([asked.budget], INPUT_USD, OUTPUT_USD, None)[0] if asked.budget else None
    rest = static_limits_met(asked, pays, predictions.quality.min(), predictions.cost_usd.max())
    offered = np.ones(N, bool)
    return apply(asked, predictions, lambda: predictions, offered, pays, LogUniform(), rest and at_a_glance)


@given(limits, predicted)
def test_a_glance_leaves_the_same_candidates_as_one_filter_after_the_other(asked, predictions):
    soon, slow = filtered(asked, predictions, True), filtered(asked, predictions, False)
    assert soon.allowed.tolist() == slow.allowed.tolist()
    assert soon.refused == slow.refused
    assert soon.relaxed == slow.relaxed
    assert (soon.penalty is None) == (slow.penalty is None)
    assert np.array_equal(soon.affordable_tokens, slow.affordable_tokens) or soon.affordable_tokens is None
    said = [
        [(v.name, v.limit, v.passed.tolist()) for v in of.compute_filter_results()] for of in (soon, slow)
    ]
    assert said[0] == said[1]


@given(limits, predicted)
def test_where_none_is_said_to_fail_all_pass(asked, predictions):
    found = filtered(asked, predictions, True)
    if not found.failed:
        assert all(result.passed.all() for result in found.compute_filter_results())


@given(limits, predicted)
def test_limits_have_the_names_of_their_filter_results(asked, predictions):
    found = filtered(asked, predictions, True)
    if found.refused is None:
        assert [*asked.by_name().items()] == [(v.name, v.limit) for v in found.compute_filter_results()]
