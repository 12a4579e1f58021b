"""What other weights would have chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.breakdown import Predictions, ScoreBreakdown, ScoreTerm
from rb_litellm.core.decision.scoring import JointScore, Priced, Weights, total
from rb_litellm.core.decision.sensitivity import flips
from rb_litellm.core.latency.forecast import LatencyForecast

BALANCED = JointScore(Weights(1 / 3, 1 / 3, 1 / 3))


def breakdown(quality, e2e, cost, objective=BALANCED, allowed=None, extra=()):
    n = len(quality)
    zeros = np.zeros(n)
    times = LatencyForecast(zeros, zeros, zeros, np.array(e2e, float))
    predictions = Predictions(np.array(quality, float), zeros, times, np.array(cost, float))
    mask = np.ones(n, bool) if allowed is None else np.array(allowed)
    terms = (*objective.terms(predictions, mask), *extra)
    return ScoreBreakdown(predictions, np.ones(n, bool), mask, terms, total(terms, mask))


def best(b):
    return int(np.argmax(b.scores))


def test_each_strength_has_weights_that_choose_it():
    b = breakdown([0.9, 0.5, 0.4], [9.0, 1.0, 5.0], [5.0, 4.0, 0.5])
    found = {flip.row: flip.weights for flip in flips(b, best(b))}
    assert {*found, best(b)} == {0, 1, 2}
    for row, weights in found.items():
        again = breakdown([0.9, 0.5, 0.4], [9.0, 1.0, 5.0], [5.0, 4.0, 0.5], JointScore(Weights(**weights)))
        assert best(again) == row


def test_a_candidate_that_is_worse_in_everything_never_flips():
    b = breakdown([0.9, 0.5, 0.1], [1.0, 1.0, 9.0], [1.0, 0.5, 9.0])
    assert 2 not in {flip.row for flip in flips(b, best(b))}


def test_distances_of_prices_are_multiples():
    objective = Priced(usd_per_quality=0.001, usd_per_second=0.001)
    b = breakdown([0.9, 0.5], [4.0, 1.0], [0.0, 0.0], objective)
    assert best(b) == 1
    (flip,) = flips(b, 1)
    assert flip.row == 0
    assert flip.weights["quality"] * 0.4 > flip.weights["latency"] * 3.0


def test_candidates_that_a_filter_removed_win_with_no_weights():
    b = breakdown([0.9, 0.5], [9.0, 1.0], [5.0, 4.0], allowed=[False, True])
    assert flips(b, 1) == []


def test_other_terms_keep_their_weight():
    heavy = ScoreTerm("slo", 100.0, np.array([-1.0, 0.0]))
    b = breakdown([0.9, 0.1], [1.0, 9.0], [1.0, 9.0], extra=(heavy,))
    assert best(b) == 1
    assert flips(b, 1) == []


figures = st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10), st.floats(0, 1)), min_size=2, max_size=6)


@given(figures)
def test_every_flip_is_true(rows):
    quality, e2e, cost = zip(*rows, strict=True)
    b = breakdown(quality, e2e, cost)
    for flip in flips(b, best(b)):
        scores = breakdown(quality, e2e, cost, JointScore(Weights(**flip.weights))).scores
        assert scores[flip.row] == pytest.approx(scores.max())
        assert flip.distance <= 1.0
