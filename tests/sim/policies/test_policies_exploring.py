"""The simulator's names for other norms and other ways to explore, and Peak-EWMA."""

import pytest

from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim import incidents
from rb_litellm.sim.experiments.loads.incidents import _NOTHING, as_json
from rb_litellm.sim.policies.by_name import Surroundings, make_policy


@pytest.fixture(scope="module")
def around():
    return Surroundings(incidents.cluster(), _NOTHING, PredictionSource())


def test_there_are_twelve_incidents_of_different_names():
    assert len({incident.name for incident in incidents.incidents()}) == 12


@pytest.mark.parametrize(
    "policy", ["routebalance:balanced", "routebalance:quality:paper+epsilon", "peak-ewma"]
)
def test_a_policy_comes_through_an_incident(around, policy, monkeypatch):
    monkeypatch.setattr(incidents, "RATE", 1.0)
    slow = incidents.incidents()[0]
    asked = incidents.requests(slow, 0)
    judged = incidents.run(slow, lambda: make_policy(policy, around, asked, 0), asked, 0)
    assert judged.failed == 0
    assert 0.5 < judged.mean_e2e_s < 20.0


def test_an_unknown_way_to_explore_is_refused(around):
    with pytest.raises(ValueError, match="unknown policy"):
        make_policy("routebalance:balanced+luck", around, [], 0)


def test_a_part_left_out_may_have_other_weights(around):
    policy = make_policy("routebalance-agents:cost", around, [], 0)
    assert policy._weights == PRESETS["cost"]
    with pytest.raises(ValueError, match="unknown policy 'routebalance-agents:dear'"):
        make_policy("routebalance-agents:dear", around, [], 0)


def test_the_table_names_the_best_of_the_others():
    judged = incidents.Judged(1.0, 2.0, 0, 0.5, 0.1)
    its = {"routebalance:balanced": [judged], "peak-ewma": [judged]}
    from rb_litellm.sim.experiments.loads import incidents as experiment

    its.update({name: [incidents.Judged(2.0, 2.0, 0, 0.5, 0.1)] for name in experiment.OTHERS[:-1]})
    (row,) = as_json({"slow": its})
    assert (row["name"], row["best_other"], row["ratio"]) == ("slow", "peak-ewma", 1.0)
