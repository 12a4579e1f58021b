"""A soft landing: nothing changes until most of the day's dollars are spent, then cost counts ever more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.scoring import PRESETS, JointScore, Priced
from rb_litellm.core.targets.landing import landed, shift
from rb_litellm.core.targets.objective import Targeted
from rb_litellm.core.targets.stated import Targets

OBJECTIVES = [JointScore(PRESETS["quality"]), Priced(0.01, 0.001), Targeted(Targets(cost_usd_per_1k=1.0))]


@pytest.mark.parametrize(("spent", "by"), [(0.0, 0.0), (8.0, 0.0), (9.0, 0.5), (10.0, 1.0), (99.0, 1.0)])
def test_it_begins_at_four_fifths_and_is_whole_when_all_is_spent(spent, by):
    assert shift(spent, 10.0) == by


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_before_it_begins_the_objective_is_the_same_object(objective):
    assert landed(objective, 0.0) is objective


@given(st.floats(0, 1), st.sampled_from(sorted(PRESETS)))
def test_weights_between_start_and_end_are_weights(by, preset):
    weights = landed(JointScore(PRESETS[preset]), by).weights  # type: ignore[attr-defined]
    assert weights.quality <= PRESETS[preset].quality + 1e-9
    assert weights.quality + weights.latency + weights.cost == pytest.approx(1.0)


def test_in_the_end_cost_decides():
    assert landed(OBJECTIVES[0], 1.0).weights.cost == pytest.approx(0.8)  # type: ignore[attr-defined]
    assert landed(OBJECTIVES[1], 1.0) == Priced(0.0, 0.0)
    assert landed(OBJECTIVES[2], 1.0).price_of_cost > 5.0  # type: ignore[attr-defined]
