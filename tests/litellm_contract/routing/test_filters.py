"""Whatever LiteLLM would not use for a request, RouteBalance does not either, however good it is."""

import asyncio
import gc
from types import FunctionType, MethodType, ModuleType

import litellm
import pytest
from litellm.types.router import RouterRateLimitError, RoutingContext

from rb_litellm.balancing.identities import MAX_OF_ONE
from tests.litellm_contract.routers import QUALITY_ONLY, ask, deployment, router

BEST, SECOND = 0.9, 0.4


async def answers(of):
    """The id of the deployment that answers, None where it fails."""
    try:
        return await ask(of)
    except litellm.RateLimitError:
        return None


async def test_without_any_filter_the_best_deployment_wins():
    of = router(deployment("best", BEST), deployment("second", SECOND))
    assert {await ask(of) for _ in range(5)} == {"best"}


async def test_a_deployment_in_cooldown_is_not_used():
    of = router(
        deployment("best", BEST, mock_response="litellm.RateLimitError"),
        deployment("second", SECOND),
        disable_cooldowns=False,
        cooldown_time=60,
    )
    with pytest.raises(litellm.RateLimitError):
        await ask(of)
    for _ in range(200):  # the cooldown begins with LiteLLM's failure callback
        if await answers(of) == "second":
            break
        await asyncio.sleep(0.02)
    assert {await ask(of) for _ in range(3)} == {"second"}


async def test_tags_are_kept_to():
    of = router(
        deployment("best", BEST, tags=["paid"]),
        deployment("second", SECOND, tags=["free"]),
        enable_tag_filtering=True,
    )
    assert await ask(of, metadata={"tags": ["free"]}) == "second"
    assert await ask(of, metadata={"tags": ["paid"]}) == "best"


async def test_a_blocked_deployment_is_not_used():
    of = router(deployment("best", BEST, info={"blocked": True}), deployment("second", SECOND))
    assert {await ask(of) for _ in range(3)} == {"second"}


async def test_a_prompt_goes_only_where_it_fits_the_context_window():
    of = router(
        deployment("best", BEST, info={"max_input_tokens": 100, "max_tokens": 100}),
        deployment("second", SECOND, info={"max_input_tokens": 100_000}),
        enable_pre_call_checks=True,
    )
    assert await ask(of) == "best"
    assert await ask(of, messages=[{"role": "user", "content": "word " * 2000}]) == "second"


async def test_a_deployment_that_is_asked_for_by_its_id_is_taken():
    of = router(deployment("best", BEST), deployment("second", SECOND))
    assert await ask(of, model="second") == "second"
    assert await ask(of, model="openai/second", specific_deployment=True) == "second"


async def test_a_providers_budget_is_kept_to(shared):
    of = router(
        deployment("best", BEST, input_cost_per_token=1.0, output_cost_per_token=1.0),
        deployment("second", SECOND, model="anthropic/second"),
        provider_budget_config={
            "openai": {"budget_limit": 1e-6, "time_period": "1d"},
            "anthropic": {"budget_limit": 1e6, "time_period": "1d"},
        },
    )
    assert await ask(of) == "best"
    for _ in range(300):  # the spend is told with LiteLLM's success callback
        if await ask(of) == "second":
            break
        await asyncio.sleep(0.02)
    assert {await ask(of) for _ in range(3)} == {"second"}


async def test_a_deployments_budget_is_kept_to():
    of = router(
        deployment(
            "best",
            BEST,
            input_cost_per_token=1.0,
            output_cost_per_token=1.0,
            max_budget=1e-6,
            budget_duration="1d",
        ),
        deployment("second", SECOND),
    )
    for _ in range(300):
        if await ask(of) == "second":
            break
        await asyncio.sleep(0.02)
    assert {await ask(of) for _ in range(3)} == {"second"}


@pytest.mark.parametrize("strategy", ["routebalance", "simple-shuffle"])
async def test_tags_and_budgets_are_kept_to_together(strategy):
    budget = {"max_budget": 1e-6, "budget_duration": "1d", "input_cost_per_token": 1.0}
    of = router(
        deployment("best", BEST, tags=["paid"], **budget),
        deployment("second", SECOND, tags=["paid", "free"]),
        deployment("other", SECOND, tags=["free"]),
        deployment("plain", SECOND, tags=["default"]),
        enable_tag_filtering=True,
        routing_strategy=strategy,
    )
    paid, free = {"tags": ["paid"]}, {"tags": ["free"]}
    taken = {await ask(of, metadata=paid) for _ in range(20)}
    for _ in range(300):  # the spend is told with LiteLLM's success callback
        if {await ask(of, metadata=paid) for _ in range(5)} == {"second"}:
            break
        await asyncio.sleep(0.02)
    assert taken <= {"best", "second"}
    assert {await ask(of, metadata=paid) for _ in range(5)} == {"second"}
    assert {await ask(of, metadata=free) for _ in range(5)} <= {"second", "other"}
    assert {await ask(of, metadata={"tags": ["unheard-of"]}) for _ in range(3)} == {"plain"}
    assert {await ask(of) for _ in range(3)} == {"plain"}


class Only:
    """A policy plugin that allows models whose name ends in one of the given."""

    def __init__(self, *names):
        self.names = names

    async def run(self, context: RoutingContext) -> RoutingContext:
        context.candidate_models = [m for m in context.candidate_models if m.endswith(self.names)]
        return context


async def test_a_policy_plugin_is_kept_to():
    of = router(deployment("best", BEST), deployment("second", SECOND), plugins=[Only("second")])
    assert {await ask(of) for _ in range(3)} == {"second"}


async def test_a_policy_plugin_that_allows_nothing_refuses_the_request():
    of = router(deployment("best", BEST), deployment("second", SECOND), plugins=[Only("nobody")])
    with pytest.raises(ValueError, match="No deployments left after routing-plugin filtering"):
        await ask(of)


async def test_a_policy_plugin_is_kept_to_within_a_routing_group():
    of = router(
        deployment("best", BEST, group="large"),
        deployment("second", SECOND, group="small"),
        plugins=[Only("second")],
        routing_strategy="simple-shuffle",
        routing_groups=[
            {"group_name": "auto", "models": ["large", "small"], "routing_strategy": "routebalance"}
        ],
    )
    assert {await ask(of) for _ in range(5)} == {"second"}


async def test_a_complexity_router_chooses_the_group_and_routebalance_the_deployment():
    easy, hard = "small", "large"
    of = router(
        {
            "model_name": "smart",
            "litellm_params": {
                "model": "auto_router/complexity_router",
                "complexity_router_config": {
                    "tiers": {"SIMPLE": easy, "MEDIUM": easy, "COMPLEX": hard, "REASONING": hard}
                },
                "complexity_router_default_model": easy,
            },
        },
        deployment("small-worse", SECOND, group=easy),
        deployment("small-better", BEST, group=easy),
        deployment("large-worse", SECOND, group=hard),
        deployment("large-better", BEST, group=hard),
    )
    assert await ask(of, model="smart", messages=[{"role": "user", "content": "Hi!"}]) == "small-better"
    question = (
        "Think step by step and prove, with detailed reasoning, that the algorithm below is correct; analyse "
        "its time complexity, design a distributed, fault-tolerant architecture for it and write the code. "
    )
    assert (
        await ask(of, model="smart", messages=[{"role": "user", "content": question * 4}]) == "large-better"
    )


async def test_the_order_of_deployments_is_kept_to():
    of = router(deployment("best", BEST, order=2), deployment("second", SECOND, order=1))
    assert {await ask(of) for _ in range(3)} == {"second"}


@pytest.mark.parametrize("pre_call_checks", [True, False])
async def test_limits_of_requests_per_minute_are_kept(pre_call_checks):
    # Where LiteLLM enforces them at the call, its simple-shuffle goes on choosing the full one and refuses.
    of = router(
        deployment("best", BEST, rpm=1),
        deployment("second", SECOND),
        enable_pre_call_checks=pre_call_checks,  # releases from 1.109 on leave the limits to the next one
        optional_pre_call_checks=None if pre_call_checks else ["enforce_model_rate_limits"],
    )
    for _ in range(20):  # counts are told with LiteLLM's success callback
        found = await answers(of)
        await asyncio.sleep(0.02)
    assert found == "second"


async def test_an_alias_is_routed_like_the_group_behind_it():
    of = router(deployment("best", BEST), deployment("second", SECOND), model_group_alias={"chat": "auto"})
    assert {await ask(of, model="chat") for _ in range(3)} == {"best"}


async def test_a_wildcard_deployment_is_routed():
    of = router(
        deployment("best", BEST, group="openai/*", model="openai/*", mock_response="hi"),
        deployment("second", SECOND, group="openai/*", model="openai/*", mock_response="hi"),
    )
    assert await ask(of, model="openai/gpt-4o") == "best"


async def test_names_that_clients_make_up_for_a_wildcard_are_bounded(shared, caplog):
    of = router(
        deployment("wild", group="openai/*", model="openai/*", input_cost_per_token=None, mock_response="hi")
    )
    for number in range(MAX_OF_ONE + 40):
        await ask(of, model=f"openai/made-up-{number}")
    assert len(shared.balancer.beliefs) <= MAX_OF_ONE
    told = [record.getMessage() for record in caplog.records if "no price is known" in record.getMessage()]
    assert len(told) == 1


async def test_long_names_that_clients_make_up_for_a_wildcard_are_not_kept(shared):
    of = router(
        deployment("wild", group="openai/*", model="openai/*", mock_response="hi"),
        deployment("other", group="openai/*", model="openai/*", mock_response="hi"),
        routing_strategy_args={**QUALITY_ONLY, "targets": {"cost_usd_per_1k": 1.0}},
    )
    longest = 100_000
    for number in range(30):
        await ask(of, model=f"openai/{'x' * longest}{number}")
    # LiteLLM's own entry of each deployment, as it was met last.
    assert len(long_texts_kept_by(shared, longest)) <= 2
    record = shared.recorder.log.recent(1)[0].record
    assert record.requested.startswith("openai/xxx")
    assert record.requested.endswith("x29")


def long_texts_kept_by(shared, longest):
    """Whatever our own objects hold on to, the Router and LiteLLM's request apart."""
    left = [
        *(shared.balancer, shared.catalog, shared.recorder, shared.learning, shared.targets, shared.ledger),
        *(shared.day_spend, shared.minute_requests, shared.outcomes, shared.drift, shared.origins),
        shared._predictors,
    ]
    ours, passed_over = (
        ("builtins", "collections", "rb_litellm"),
        (type, FunctionType, MethodType, ModuleType),
    )
    found, met = {}, set()
    while left:
        one = left.pop()
        if id(one) in met or isinstance(one, passed_over):
            continue
        met.add(id(one))
        if isinstance(one, str) and len(one) >= longest:
            found[id(one)] = one
        elif type(one).__module__.partition(".")[0] in ours:
            left += gc.get_referents(one)
    return found.values()


async def test_no_deployment_left_is_litellms_own_error():
    of = router(
        deployment("best", BEST, info={"blocked": True}), deployment("second", info={"blocked": True})
    )
    with pytest.raises(RouterRateLimitError, match="No deployments available"):
        await ask(of)
