"""The score: what makes a candidate better, and what leaves it alone."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.breakdown import Predictions
from rb_litellm.core.decision.scoring import (
    PRESETS,
    JointScore,
    Priced,
    QualityNorm,
    Weights,
    normalise_quality,
    saving,
    score,
    total,
)
from rb_litellm.core.latency.forecast import LatencyForecast

# Two decimals: differences are either none or visible, never an artefact of rounding.
shares = st.integers(0, 100).map(lambda n: n / 100)
amounts = st.integers(0, 500).map(lambda n: n / 100)
norms: st.SearchStrategy[QualityNorm] = st.sampled_from(["raw", "minmax", "scaled"])


@st.composite
def weightings(draw):
    cuts = sorted([draw(st.integers(0, 100)), draw(st.integers(0, 100))])
    return Weights(cuts[0] / 100, (cuts[1] - cuts[0]) / 100, (100 - cuts[1]) / 100)


@st.composite
def fields(draw):
    """Quality, E2E, cost and permission of 2 to 8 candidates, at least one permitted."""
    n = draw(st.integers(2, 8))
    column = lambda values: np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=float)  # noqa: E731
    quality, e2e, cost = column(shares), column(amounts), column(amounts)
    allowed = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    allowed[draw(st.integers(0, n - 1))] = True
    return quality, e2e, cost, allowed


@given(fields(), weightings(), norms, st.data())
def test_a_candidate_that_improves_in_one_thing_gains_on_every_other(field, weights, norm, data):
    quality, e2e, cost, allowed = field
    i = data.draw(st.sampled_from(np.flatnonzero(allowed).tolist()))
    what = data.draw(st.sampled_from(["quality", "latency", "cost"]))
    before = score(quality, e2e, cost, allowed, weights, norm)
    better = (quality.copy(), e2e.copy(), cost.copy())
    if what == "quality":
        better[0][i] = data.draw(shares.filter(lambda q: q >= quality[i]))
    else:
        column = better[1] if what == "latency" else better[2]
        column[i] *= data.draw(shares)
    after = score(*better, allowed, weights, norm)
    others = allowed.copy()
    others[i] = False
    assert np.all(after[i] - after[others] >= before[i] - before[others] - 1e-9)


@given(fields(), weightings(), norms)
def test_a_candidate_no_worse_in_anything_scores_no_less(field, weights, norm):
    quality, e2e, cost, allowed = field
    scores = score(quality, e2e, cost, allowed, weights, norm)
    for i in np.flatnonzero(allowed):
        dominated = allowed & (quality <= quality[i]) & (e2e >= e2e[i]) & (cost >= cost[i])
        assert np.all(scores[i] >= scores[dominated] - 1e-9)


@given(fields(), weightings(), norms, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_is_irrelevant(field, weights, norm, random):
    order = list(range(len(field[0])))
    random.shuffle(order)
    straight = score(*field, weights, norm)
    shuffled = score(*(column[order] for column in field), weights, norm)
    assert np.allclose(shuffled, straight[order])


@given(fields(), weightings(), norms)
def test_a_score_lies_between_nought_and_one(field, weights, norm):
    scores = score(*field, weights, norm)[field[3]]
    assert np.all((scores >= -1e-9) & (scores <= 1.0 + 1e-9))


@given(fields(), weightings(), norms)
def test_a_candidate_that_is_not_allowed_neither_wins_nor_counts(field, weights, norm):
    quality, e2e, cost, allowed = field
    scores = score(quality, e2e, cost, allowed, weights, norm)
    assert np.all(np.isneginf(scores[~allowed]))
    elsewhere = [np.where(allowed, column, 77.0) for column in (quality, e2e, cost)]
    assert np.array_equal(score(*elsewhere, allowed, weights, norm)[allowed], scores[allowed])


@given(fields(), weightings(), norms)
def test_units_of_time_and_money_do_not_matter(field, weights, norm):
    quality, e2e, cost, allowed = field
    assert np.allclose(
        score(quality, e2e * 1000.0, cost * 1e-6, allowed, weights, norm)[allowed],
        score(quality, e2e, cost, allowed, weights, norm)[allowed],
    )


def test_a_batch_is_scored_row_by_row():
    quality = np.array([[0.2, 0.9], [0.5, 0.5]])
    e2e = np.array([[1.0, 4.0], [2.0, 1.0]])
    cost = np.array([[1.0, 3.0], [0.0, 0.0]])
    allowed = np.array([[True, True], [True, False]])
    batch = score(quality, e2e, cost, allowed, PRESETS["balanced"])
    for row in range(2):
        alone = score(quality[row], e2e[row], cost[row], allowed[row], PRESETS["balanced"])
        assert np.allclose(batch[row], alone)


def test_the_score_is_the_weighted_sum_of_the_design():
    scores = score(
        np.array([0.6, 0.8]),
        np.array([1.0, 4.0]),
        np.array([0.01, 0.02]),
        np.array([True, True]),
        Weights(0.5, 0.3, 0.2),
    )
    assert scores == pytest.approx([0.5 * 0.6 + 0.3 * 0.75 + 0.2 * 0.5, 0.5 * 0.8])


def test_free_candidates_neither_gain_nor_lose_by_cost():
    assert saving(np.zeros(3), np.ones(3, bool)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("raw", [0.4, 0.6, 0.8]), ("scaled", [0.5, 0.75, 1.0]), ("minmax", [0.0, 0.5, 1.0])],
)
def test_quality_is_brought_to_the_scale_that_was_asked_for(norm, expected):
    assert normalise_quality(np.array([0.4, 0.6, 0.8]), np.ones(3, bool), norm) == pytest.approx(expected)


@pytest.mark.parametrize("norm", ["raw", "scaled", "minmax"])
def test_candidates_of_equal_quality_do_not_differ_by_it(norm):
    assert len(set(normalise_quality(np.full(3, 0.7), np.ones(3, bool), norm))) == 1


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_the_weights_of_every_preset_sum_to_one(preset):
    assert preset.quality + preset.latency + preset.cost == pytest.approx(1.0)


@pytest.mark.parametrize("named", ["quality", "latency", "cost"])
def test_a_preset_weighs_what_it_is_named_after_most_and_the_others_alike(named):
    weights = asdict(PRESETS[named])
    most = weights.pop(named)
    (least,) = set(weights.values())
    assert most > 0.5 > least > 0.0


@given(shares, shares, shares)
def test_weights_that_do_not_sum_to_one_are_refused_with_the_sum(quality, latency, cost):
    if abs(quality + latency + cost - 1.0) < 1e-6:
        assert Weights(quality, latency, cost).quality == quality
    else:
        with pytest.raises(ValueError, match="they must sum to 1"):
            Weights(quality, latency, cost)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_weight_outside_nought_to_one_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"weights\.latency is .*; allowed is a number from 0 to 1"):
        Weights(0.5, value, 0.5)


def predicted(quality, e2e, cost):
    n = len(quality)
    zeros = np.zeros(n)
    times = LatencyForecast(zeros, zeros, zeros, np.array(e2e, dtype=float))
    return Predictions(np.array(quality, dtype=float), zeros, times, np.array(cost, dtype=float))


def ranks(objective, p, rows=None):
    allowed = np.ones(p.quality.size, bool)
    scores = total(objective.terms(p, allowed), allowed)
    order = np.argsort(-scores, kind="stable").tolist()
    return [row for row in order if rows is None or row in rows]


def test_a_priced_score_is_the_worth_of_the_answer_less_what_it_takes():
    p = predicted([0.5, 0.9], [2.0, 4.0], [0.001, 0.01])
    (quality, latency, cost) = Priced(0.02, 0.001).terms(p, np.ones(2, bool))
    assert quality.points.tolist() == pytest.approx([0.01, 0.018])
    assert latency.points.tolist() == pytest.approx([-0.002, -0.004])
    assert cost.points.tolist() == pytest.approx([-0.001, -0.01])


finite = st.floats(0, 100)


@given(
    st.lists(st.tuples(st.floats(0, 1), finite, finite), min_size=2, max_size=6),
    st.tuples(st.floats(0, 1), finite, finite),
    finite,
    finite,
)
def test_a_priced_ranking_does_not_change_when_another_candidate_joins(
    rows, joining, per_quality, per_second
):
    objective = Priced(per_quality, per_second)
    before = ranks(objective, predicted(*zip(*rows, strict=True)))
    after = ranks(objective, predicted(*zip(*rows, joining, strict=True)), set(range(len(rows))))
    assert after == before


@given(
    st.lists(st.tuples(st.floats(0, 1), finite, finite), min_size=2, max_size=6),
    st.tuples(st.floats(0, 1), finite, finite),
    weightings(),
)
def test_an_absolute_ranking_does_not_change_when_another_candidate_joins_leaves_or_slows(
    rows, joining, weights
):
    objective, first = JointScore(weights), set(range(len(rows)))
    before = ranks(objective, predicted(*zip(*rows, strict=True)))
    assert ranks(objective, predicted(*zip(*rows, joining, strict=True)), first) == before
    slowed = (joining[0], joining[1] * 100.0, joining[2])
    assert ranks(objective, predicted(*zip(*rows, slowed, strict=True)), first) == before


@given(fields(), weightings())
def test_an_absolute_score_rises_with_quality_and_falls_with_time_and_cost(field, weights):
    quality, e2e, cost, allowed = field
    scores = score(quality, e2e, cost, allowed, weights, norm="absolute")
    for i in np.flatnonzero(allowed):
        dominated = allowed & (quality <= quality[i]) & (e2e >= e2e[i]) & (cost >= cost[i])
        assert np.all(scores[i] >= scores[dominated] - 1e-9)


def test_of_an_absolute_score_only_ratios_count():
    weights, everyone = PRESETS["balanced"], np.ones(2, bool)
    quality, e2e, cost = np.array([0.5, 0.6]), np.array([2.0, 3.0]), np.array([0.02, 0.03])
    slow_and_dear = score(quality, e2e * 10.0, cost * 10.0, everyone, weights, norm="absolute")
    usual = score(quality, e2e, cost, everyone, weights, norm="absolute")
    assert slow_and_dear[1] - slow_and_dear[0] == pytest.approx(usual[1] - usual[0], abs=1e-3)


def test_a_relative_score_may_change_its_mind_when_another_candidate_joins():
    # A third server that nobody would choose makes the second's latency look small.
    weights = JointScore(Weights(0.5, 0.5, 0.0), norm="paper")
    two = predicted([0.5, 0.9], [1.0, 2.0], [0.0, 0.0])
    three = predicted([0.5, 0.9, 0.0], [1.0, 2.0, 50.0], [0.0, 0.0, 0.0])
    assert ranks(weights, two)[0] == 0
    assert ranks(weights, three)[0] == 1


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_prices_are_finite_and_not_negative(price):
    with pytest.raises(ValueError, match="usd_per_quality"):
        Priced(price, 0.0)
