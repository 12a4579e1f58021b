"""RouteBalance beside LiteLLM's other strategies: groups, overrides by keys and teams, changes at runtime."""

import logging

import pytest

from rb_litellm.litellm_adapter.hosts.host import current
from tests.litellm_contract.routers import HELLO, QUALITY_ONLY, answered_by, ask, deployment, router

COST_ONLY = {"weights": {"quality": 0, "latency": 0, "cost": 1}}
GOOD, CHEAP = 0.9, 0.2


def good_or_cheap(suffix=""):
    """Two deployments: a good one, and one that costs a tenth."""
    return (
        deployment(f"good{suffix}", GOOD, group=f"large{suffix}", output_cost_per_token=1e-5),
        deployment(f"cheap{suffix}", CHEAP, group=f"small{suffix}", output_cost_per_token=1e-6),
    )


def group(name, *models, strategy="routebalance", **args):
    return {
        "group_name": name,
        "models": list(models),
        "routing_strategy": strategy,
        **({"routing_strategy_args": args} if args else {}),
    }


async def test_two_groups_may_have_different_weights_beside_another_strategy():
    of = router(
        *good_or_cheap("-1"),
        *good_or_cheap("-2"),
        *(deployment(f"other-{i}", group="other") for i in range(2)),
        routing_strategy="simple-shuffle",
        routing_groups=[
            group("best", "large-1", "small-1", **QUALITY_ONLY),
            group("thrifty", "large-2", "small-2", **COST_ONLY),
            group("busy", "other", strategy="least-busy"),
        ],
    )
    assert {await ask(of, model="best") for _ in range(5)} == {"good-1"}
    assert {await ask(of, model="thrifty") for _ in range(5)} == {"cheap-2"}
    assert {await ask(of, model="other") for _ in range(20)} <= {"other-0", "other-1"}


async def test_a_member_is_decided_within_itself_by_its_groups_weights():
    of = router(
        deployment("good", GOOD, group="large", output_cost_per_token=1e-5),
        deployment("cheap", CHEAP, group="large", output_cost_per_token=1e-6),
        deployment("cheapest", CHEAP, group="small", output_cost_per_token=1e-7),
        routing_strategy="simple-shuffle",
        routing_groups=[group("thrifty", "large", "small", **COST_ONLY)],
    )
    assert {await ask(of, model="large") for _ in range(5)} == {"cheap"}
    assert {await ask(of, model="thrifty") for _ in range(5)} == {"cheapest"}


async def test_the_routers_own_strategy_and_a_groups_may_both_be_ours():
    of = router(
        *good_or_cheap(),
        deployment("good-too", GOOD, group="rest", output_cost_per_token=1e-5),
        deployment("cheap-too", CHEAP, group="rest", output_cost_per_token=1e-6),
        routing_strategy_args=QUALITY_ONLY,
        routing_groups=[group("thrifty", "large", "small", **COST_ONLY)],
    )
    assert await ask(of, model="rest") == "good-too"
    assert await ask(of, model="thrifty") == "cheap"


async def test_a_key_or_team_may_bring_our_strategy():
    of = router(
        deployment("good", GOOD), deployment("same", 0.1, mock_delay=0.01), routing_strategy="simple-shuffle"
    )
    assert {await ask(of, routing_strategy="routebalance") for _ in range(8)} == {"good"}


def test_a_key_or_team_may_bring_our_strategy_to_a_synchronous_call():
    of = router(deployment("good", GOOD), deployment("bad", 0.1), routing_strategy="simple-shuffle")
    responses = (
        of.completion(model="auto", messages=HELLO, routing_strategy="routebalance") for _ in range(8)
    )
    assert {answered_by(response) for response in responses} == {"good"}


async def test_a_key_or_team_may_bring_another_strategy():
    of = router(deployment("good", GOOD), deployment("bad", 0.1))
    assert {await ask(of) for _ in range(8)} == {"good"}
    assert {await ask(of, routing_strategy="simple-shuffle") for _ in range(40)} == {"good", "bad"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestChangesAtRuntime:
    """What the Admin UI does when somebody saves the router's settings."""

    async def test_to_another_strategy_and_back(self, caplog):
        of = router(deployment("good", GOOD), deployment("bad", 0.1))
        assert {await ask(of) for _ in range(8)} == {"good"}
        of.update_settings(routing_strategy="simple-shuffle")
        assert {await ask(of) for _ in range(40)} == {"good", "bad"}
        of.update_settings(routing_strategy="routebalance", routing_strategy_args=QUALITY_ONLY)
        assert current().strategy_of(of) == "routebalance"
        assert {await ask(of) for _ in range(8)} == {"good"}

    async def test_dropping_ours_is_an_error_in_the_log(self, caplog):
        of = router(deployment("good", GOOD))
        of.update_settings(routing_strategy="least-busy")
        (said,) = [r for r in caplog.records if r.name == "rb_litellm" and r.levelno >= logging.ERROR]
        assert "was dropped" in said.getMessage()
        assert "least-busy" in said.getMessage()

    async def test_dropping_a_group_of_ours_is_an_error_in_the_log(self, caplog):
        groups = [group("auto", "large", "small", **QUALITY_ONLY), group("rest", "other")]
        of = router(
            *good_or_cheap(),
            deployment("o", group="other"),
            routing_strategy="simple-shuffle",
            routing_groups=groups,
        )
        assert await ask(of) == "good"
        of.update_settings(routing_groups=[group("auto", "large", "small", strategy="least-busy"), groups[1]])
        (said,) = [r for r in caplog.records if r.name == "rb_litellm" and r.levelno >= logging.ERROR]
        assert "dropped from routing group auto:" in said.getMessage()
        of.update_settings(routing_groups=groups)
        assert {await ask(of) for _ in range(8)} == {"good"}

    async def test_a_change_of_another_setting_drops_nothing(self, caplog):
        of = router(deployment("good", GOOD), deployment("bad", 0.1))
        of.update_settings(num_retries=3, timeout=20)
        assert {await ask(of) for _ in range(8)} == {"good"}
        assert not [r for r in caplog.records if r.name == "rb_litellm" and r.levelno >= logging.ERROR]

    async def test_other_weights(self):
        of = router(
            deployment("good", GOOD, output_cost_per_token=1e-5),
            deployment("cheap", CHEAP, output_cost_per_token=1e-7),
        )
        assert await ask(of) == "good"
        of.update_settings(routing_strategy="routebalance", routing_strategy_args=COST_ONLY)
        assert await ask(of) == "cheap"
