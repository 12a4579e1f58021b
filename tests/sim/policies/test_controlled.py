"""RouteBalance with controls on, in the simulator: limits are kept, overload is shed, prices count."""

import pytest

from rb_litellm.sim.policies.routebalance.controlled import controls
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)


def run(policy, rate=20.0, requests=300, slo_e2e_s=2.0):
    return WORLD.run(Run(policy, rate, requests=requests, slo_e2e_s=slo_e2e_s))


def test_a_service_level_is_kept_more_often_than_without():
    without = run("routebalance:quality").figure("slo_attainment")
    assert run("routebalance-slo:tiered,2000").figure("slo_attainment") > without


def test_strict_refuses_what_tiered_serves():
    assert run("routebalance-slo:tiered,1").failed == 0
    assert run("routebalance-slo:prefer,1").failed == 0


def test_admission_sheds_only_under_overload():
    assert run("routebalance-admission:1000").failed == 0
    assert run("routebalance-admission:10", rate=20_000.0, requests=6000).failed > 0


def test_dearer_quality_buys_more_of_it():
    cheap, dear = run("routebalance-priced:0,0.001"), run("routebalance-priced:1,0")
    assert dear.figure("quality") > cheap.figure("quality")


@pytest.mark.parametrize(
    "name", ["routebalance-slo:lax,5", "routebalance-slo:tiered,x", "routebalance-priced:1,-1"]
)
def test_wrong_figures_are_named(name):
    with pytest.raises(ValueError, match=name.split(":")[0]):
        controls(name)
