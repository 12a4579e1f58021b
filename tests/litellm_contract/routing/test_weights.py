"""LiteLLM's `weight` of a deployment, and a key's or team's weights, under our strategy."""

import asyncio
from collections import Counter

import pytest

from tests.litellm_contract.routers import HELLO, QUALITY_ONLY, answered_by, ask, deployment, router

SAME = {"model": "openai/same"}
"""The same model behind every id: predicted quality and price are equal."""


async def shares(of, times, **kwargs):
    """How often each deployment answered, asked one after another."""
    return Counter([await ask(of, **kwargs) for _ in range(times)])


async def test_weight_zero_gets_nothing_while_another_is_there():
    of = router(deployment("drained", 0.9, weight=0), deployment("a", 0.1), deployment("b", 0.1))
    served = await shares(of, 20)
    assert set(served) <= {"a", "b"}


async def test_weight_zero_gets_nothing_of_a_burst():
    of = router(
        deployment("drained", mock_delay=0.05, weight=0, **SAME), deployment("a", mock_delay=0.05, **SAME)
    )
    assert set(await asyncio.gather(*(ask(of) for _ in range(30)))) == {"a"}


def test_weight_zero_gets_nothing_of_synchronous_requests():
    of = router(deployment("drained", 0.9, weight=0), deployment("a", 0.1))
    assert {answered_by(of.completion(model="auto", messages=HELLO)) for _ in range(5)} == {"a"}


async def test_weight_zero_is_a_standby():
    of = router(
        deployment("standby", weight=0, **SAME),
        deployment("a", weight=1, mock_response="litellm.InternalServerError", **SAME),
        num_retries=2,
    )
    assert set(await shares(of, 5)) == {"standby"}


async def test_where_all_have_weight_zero_all_serve():
    of = router(deployment("a", weight=0, **SAME), deployment("b", weight=0, **SAME))
    assert set(await shares(of, 20)) == {"a", "b"}


async def test_weight_zero_gets_nothing_when_the_decision_fails(shared, monkeypatch):
    of = router(deployment("drained", weight=0, **SAME), deployment("a", **SAME))

    def broken(*args, **kwargs):
        raise RuntimeError("broken for the test")

    monkeypatch.setattr(shared.balancer, "decide", broken)
    assert set(await shares(of, 20)) == {"a"}


@pytest.mark.parametrize("weights", [(3, 1), (0.9, 0.1), (70, 20, 10)])
async def test_weights_are_shares_among_equals(weights):
    of = router(*(deployment(f"d{i}", weight=w, **SAME) for i, w in enumerate(weights)))
    served = await shares(of, 100)
    for i, weight in enumerate(weights):
        assert served[f"d{i}"] == pytest.approx(100 * weight / sum(weights), abs=2)


async def test_a_missing_weight_counts_as_one():
    of = router(deployment("three", weight=3, **SAME), deployment("unweighted", **SAME))
    assert (await shares(of, 40))["unweighted"] == pytest.approx(10, abs=1)


async def test_shares_hold_in_a_burst():
    of = router(
        deployment("three", weight=3, mock_delay=0.1, **SAME),
        deployment("one", weight=1, mock_delay=0.1, **SAME),
    )
    served = Counter(await asyncio.gather(*(ask(of) for _ in range(40))))
    assert served["three"] == pytest.approx(30, abs=4)


async def test_equal_weights_change_nothing():
    of = router(deployment("a", weight=5, **SAME), deployment("b", weight=5, **SAME))
    served = await shares(of, 20)
    assert served == {"a": 10, "b": 10}


async def test_across_models_the_joint_score_decides():
    of = router(deployment("best", 0.9, weight=1), deployment("worst", 0.1, weight=99))
    assert set(await shares(of, 20)) == {"best"}


async def test_an_equal_that_is_much_slower_loses_its_share():
    pace = {"slow": 100, "quick": 10}
    of = router(
        *(
            deployment(id, weight=w, info={"routebalance": {"quality": 0.5, "tpot_ms": pace[id]}}, **SAME)
            for id, w in (("slow", 3), ("quick", 1))
        )
    )
    assert set(await shares(of, 20)) == {"quick"}


async def test_an_equal_that_is_a_little_slower_keeps_its_share():
    pace = {"slow": 15, "quick": 10}
    of = router(
        *(
            deployment(id, weight=w, info={"routebalance": {"quality": 0.5, "tpot_ms": pace[id]}}, **SAME)
            for id, w in (("slow", 3), ("quick", 1))
        )
    )
    # What is measured meanwhile changes what is predicted of either.
    served = await shares(of, 20)
    assert served["slow"] > served["quick"] > 0


# A key's or team's weights


async def test_a_keys_weights_go_before_the_deployments():
    of = router(deployment("a", weight=3, **SAME), deployment("b", weight=1, **SAME))
    served = await shares(of, 400, _router_weights={"auto": {"a": 1, "b": 3}})
    assert served["b"] == pytest.approx(300, abs=40)


async def test_a_keys_weight_of_zero_excludes():
    of = router(deployment("a", 0.9), deployment("b", 0.1))
    assert set(await shares(of, 20, _router_weights={"auto": {"a": 0, "b": 1}})) == {"b"}
    assert set(await shares(of, 20)) == {"a"}


async def test_what_a_key_does_not_name_in_a_group_is_excluded():
    of = router(deployment("a", 0.9), deployment("b", 0.1), deployment("c", 0.5))
    assert set(await shares(of, 20, _router_weights={"auto": {"b": 1}})) == {"b"}


async def test_a_group_that_a_key_does_not_name_is_as_before():
    of = router(deployment("a", 0.9), deployment("b", 0.1))
    assert set(await shares(of, 20, _router_weights={"other": {"x": 1}})) == {"a"}


async def test_a_keys_exclusion_yields_where_nothing_else_is_there():
    of = router(deployment("a", weight=0, **SAME), deployment("b", weight=1, **SAME))
    # LiteLLM goes on to the deployments' own weights where the key's leave nobody.
    assert set(await shares(of, 10, _router_weights={"auto": {"gone": 1}})) == {"b"}


async def test_a_keys_weights_count_by_member_in_a_routing_group():
    of = router(
        deployment("a1", 0.9, group="a"),
        deployment("a2", 0.1, group="a"),
        deployment("b1", 0.05, group="b"),
        routing_strategy="simple-shuffle",
        routing_groups=[
            {
                "group_name": "auto",
                "models": ["a", "b"],
                "routing_strategy": "routebalance",
                "routing_strategy_args": QUALITY_ONLY,
            }
        ],
    )
    assert set(await shares(of, 10, _router_weights={"a": {"a1": 0, "a2": 1}})) == {"a2"}


async def test_a_batch_keeps_each_keys_weights():
    of = router(deployment("a", **SAME, mock_delay=0.02), deployment("b", **SAME, mock_delay=0.02))
    keys = [{"auto": {"a": 1}}, {"auto": {"b": 1}}, None]
    asked = [ask(of, **({"_router_weights": key} if key else {})) for key in keys * 10]
    served = await asyncio.gather(*asked)
    assert set(served[0::3]) == {"a"}
    assert set(served[1::3]) == {"b"}


# What is said at start


def said(caplog):
    return [r.getMessage() for r in caplog.records if "`weight`" in r.getMessage()]


async def test_unequal_weights_are_explained_once(caplog):
    for _ in range(2):
        router(deployment("a", weight=3), deployment("b", weight=1))
    (line,) = said(caplog)
    assert "joint score" in line


async def test_partial_weights_are_explained(caplog):
    router(deployment("a", weight=3), deployment("b"), deployment("c", group="others"))
    assert "in auto the deployments without a weight count as 1" in said(caplog)[0]


@pytest.mark.parametrize("weight", [{}, {"weight": 1}])
async def test_nothing_is_said_where_weights_say_nothing(caplog, weight):
    router(deployment("a", **weight), deployment("b", **weight))
    assert said(caplog) == []
