"""`enable_weighted_failover`: a failed deployment's request goes to another of its group, by our order."""

import asyncio

import pytest

from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import QUALITY_ONLY, ask, deployment, router

BROKEN = {"mock_response": "litellm.InternalServerError"}


def failing_over(*deployments, **settings):
    return router(*deployments, enable_weighted_failover=True, **settings)


async def test_the_next_best_of_the_group_serves(shared):
    of = failing_over(deployment("best", 0.9, **BROKEN), deployment("second", 0.5), deployment("third", 0.1))
    assert {await ask(of) for _ in range(5)} == {"second"}


async def test_it_goes_on_until_one_serves():
    of = failing_over(
        deployment("a", 0.9, **BROKEN),
        deployment("b", 0.8, **BROKEN),
        deployment("c", 0.7, **BROKEN),
        deployment("d", 0.1),
        max_fallbacks=5,
    )
    assert await ask(of) == "d"


async def test_it_comes_before_fallbacks_to_other_groups():
    of = failing_over(
        deployment("best", 0.9, **BROKEN),
        deployment("second", 0.5),
        deployment("elsewhere", 0.9, group="other"),
        fallbacks=[{"auto": ["other"]}],
    )
    assert await ask(of) == "second"


async def test_where_all_of_the_group_fail_the_other_group_serves():
    of = failing_over(
        deployment("best", 0.9, **BROKEN),
        deployment("second", 0.5, **BROKEN),
        deployment("elsewhere", 0.9, group="other"),
        fallbacks=[{"auto": ["other"]}],
    )
    assert await ask(of) == "elsewhere"


async def test_without_it_a_failure_is_a_failure():
    of = router(deployment("best", 0.9, **BROKEN), deployment("second", 0.5))
    with pytest.raises(Exception, match="InternalServerError"):
        await ask(of)


async def test_it_holds_for_a_routing_group_of_ours():
    of = failing_over(
        deployment("best", 0.9, group="x", **BROKEN),
        deployment("second", 0.5, group="x"),
        routing_strategy="least-busy",
        routing_groups=[
            {
                "group_name": "ours",
                "models": ["x"],
                "routing_strategy": "routebalance",
                "routing_strategy_args": QUALITY_ONLY,
            },
        ],
    )
    assert await ask(of, model="x") == "second"


@pytest.mark.parametrize("base", ["simple-shuffle", "least-busy"])
async def test_shadow_mode_fails_over_as_its_base_does(shared, base):
    of = failing_over(
        deployment("broken", **BROKEN),
        deployment("well"),
        routing_strategy_args={**QUALITY_ONLY, "mode": "shadow", "base_strategy": base},
    )
    asked = (ask(of) for _ in range(12))
    answers = [
        type(answer).__name__ if isinstance(answer, Exception) else answer
        for answer in await asyncio.gather(*asked, return_exceptions=True)
    ]
    if base == "simple-shuffle":
        assert set(answers) == {"well"}
    else:
        assert "InternalServerError" in answers
    await settled(shared)
