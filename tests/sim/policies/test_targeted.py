"""Targets in the simulator: they are kept, workers keep them together, and changes are followed."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.core.targets.stated import Targets
from rb_litellm.sim.policies.routebalance.targeted import targets
from rb_litellm.sim.results import Repriced
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)


def test_a_policys_name_says_its_targets():
    told = targets("routebalance-targets:cost=0.02,p95=6,quality=0.5,maximise=saving")
    assert told == Targets(0.02, 6.0, 0.5, "saving")
    assert targets("routebalance:cost") is None


@pytest.mark.parametrize("bad", ["cost=x", "price=1", "maximise=luck", "", "maximise=speed"])
def test_wrong_figures_are_named(bad):
    with pytest.raises(ValueError, match="routebalance-targets"):
        targets(f"routebalance-targets:{bad}")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_mean_cost_between_two_models_is_kept(workers):
    # Without a predictor each model has one quality, and fixed weights take one model or the other.
    result = WORLD.run(Run("routebalance-targets:cost=0.02", 20.0, requests=1200, workers=workers))
    assert 1000.0 * result.cost_usd[400:].mean() == pytest.approx(0.02, rel=0.03)


def test_a_change_of_prices_is_followed():
    run = Run("routebalance-targets:cost=0.025", 20.0, requests=1600, repriced=Repriced(40.0, (2, 3), 2.0))
    cost = 1000.0 * WORLD.run(run).cost_usd
    assert cost[400:].mean() < 1.03 * 0.025
    assert cost[1200:].mean() == pytest.approx(0.025, rel=0.03)


def test_other_prices_are_charged_from_their_moment_on():
    plain = WORLD.run(Run("round-robin", 20.0, requests=200))
    dearer = WORLD.run(Run("round-robin", 20.0, requests=200, repriced=Repriced(5.0, (3,), 2.0)))
    ratio = dearer.cost_usd / plain.cost_usd
    assert set(np.round(ratio, 9)) == {1.0, 2.0}
    assert (ratio[plain.tier != 3] == 1.0).all()
    assert (ratio[:50] == 1.0).all()
