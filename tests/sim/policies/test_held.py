"""Requests held in the simulator: all end, the quiet key is not left out, and wrong names are named."""

import pytest

from rb_litellm.sim.policies.routebalance.held import NAMES, quiet, rule
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)
REQUESTS = 600


def run(policy: str, workers: int = 1, rate: float = 300.0):
    return WORLD.run(Run(policy, rate, requests=REQUESTS, slots=4, workers=workers))


def quiet_answered(result) -> int:
    return sum(quiet(number) for number in result.number.tolist())


@pytest.mark.parametrize("policy", ["routebalance-hold:50,2,40", "routebalance-hold-slo:4000,2,40"])
@pytest.mark.parametrize("workers", [1, 2])
def test_every_request_is_answered_or_refused(policy: str, workers: int) -> None:
    result = run(policy, workers)
    assert result.e2e_s.size + result.failed == REQUESTS
    assert result.failed > 0
    assert len(set(result.number.tolist())) == result.e2e_s.size


def test_where_nothing_would_be_refused_nothing_changes() -> None:
    held, alone = run("routebalance-hold:5000,2,40", rate=5.0), run("routebalance-admission:5000", rate=5.0)
    assert held.e2e_s.tolist() == alone.e2e_s.tolist()


def test_beside_a_flood_the_quiet_key_is_answered_more_often_than_as_one_of_many() -> None:
    fair, shared = run("routebalance-hold:50,2,40"), run("routebalance-hold:50,2,40,shared")
    assert quiet_answered(fair) > quiet_answered(shared)


@pytest.mark.parametrize(
    "name", ["routebalance-hold:1", "routebalance-hold:a,1,1", "routebalance-hold-slo:1,2"]
)
def test_wrong_figures_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        rule(name)


def test_other_names_are_none_of_these() -> None:
    assert rule("routebalance-admission:1") is None
    assert len(NAMES) == 2
