"""Held requests in a real Router: they wait, they leave nothing behind, and its faults are not theirs."""

import asyncio

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

from rb_litellm.litellm_adapter.request.waiting.holding import Holding
from rb_litellm.litellm_adapter.worker import worker
from tests.litellm_contract.routers import QUALITY_ONLY, ask, deployment, router

ONE_SLOT = {
    "routebalance": {"quality": 0.5, "max_num_seqs": 1, "tpot_ms": 20.0, "ttft_ms": 20.0, "output_tokens": 40}
}
ADMISSION = {**QUALITY_ONLY, "admission": {"max_wait_s": 0.05}}
HOLD = {**ADMISSION, "hold": {"max_wait_s": 10, "max_requests": 8}}


def one_server(args, **params):
    return router(deployment("only", info=ONE_SLOT, mock_delay=0.2, **params), routing_strategy_args=args)


async def until(true):
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


async def test_without_it_the_second_is_refused():
    of = one_server(ADMISSION)
    answers = await asyncio.gather(*(ask(of) for _ in range(3)), return_exceptions=True)
    assert answers[0] == "only"
    assert all(isinstance(answer, litellm.RateLimitError) for answer in answers[1:])


async def test_with_it_all_are_served_and_none_is_load_while_it_waits(shared):
    of = one_server(HOLD)
    tasks = [asyncio.create_task(ask(of)) for _ in range(4)]
    await until(lambda: len(worker().holding) == 3)
    assert shared.ledger.open_count("only") == 1
    assert await asyncio.gather(*tasks) == ["only"] * 4
    assert len(worker().holding) == 0
    assert "hold" not in shared.counters.refusals


async def test_whoever_is_cancelled_leaves_nothing_behind():
    of = one_server(HOLD)
    first, second = asyncio.create_task(ask(of)), asyncio.create_task(ask(of))
    await until(lambda: len(worker().holding) == 1)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len(worker().holding) == 0
    assert await first == "only"


async def test_past_its_time_it_is_refused_with_the_time_to_come_back(shared):
    of = one_server({**HOLD, "hold": {"max_wait_s": 0.01}})
    first = asyncio.create_task(ask(of))
    await until(lambda: len(shared.ledger) == 1)
    with pytest.raises(litellm.RateLimitError, match="none had room while this request was held"):
        await ask(of)
    assert shared.counters.refusals == {"hold": 1}
    assert await first == "only"


async def test_where_the_queue_fails_the_request_is_refused_as_without_it(shared, monkeypatch):
    async def broken(*_):
        raise ValueError("broken")

    monkeypatch.setattr(Holding, "wait", broken)
    of = one_server(HOLD)
    answers = await asyncio.gather(*(ask(of) for _ in range(2)), return_exceptions=True)
    assert answers[0] == "only"
    assert "the shortest predicted wait is" in str(answers[1])
    assert shared.counters.failures["hold:ValueError"] == 1


async def test_what_is_deleted_meanwhile_gets_no_held_request(shared):
    of = router(
        deployment("first", info=ONE_SLOT, mock_delay=0.2),
        deployment("second", info=ONE_SLOT, mock_delay=0.2),
        routing_strategy_args=HOLD,
    )
    tasks = [asyncio.create_task(ask(of)) for _ in range(4)]
    await until(lambda: len(worker().holding) == 2)
    of.delete_deployment("first")
    answered = await asyncio.gather(*tasks)
    assert sorted(answered[:2]) == ["first", "second"]
    assert answered[2:] == ["second", "second"]


async def test_with_all_that_it_may_go_to_deleted_it_is_refused(shared):
    of = one_server(HOLD)
    first, held = asyncio.create_task(ask(of)), asyncio.create_task(ask(of))
    await until(lambda: len(worker().holding) == 1)
    of.delete_deployment("only")
    assert await first == "only"
    with pytest.raises(litellm.RateLimitError, match="is served any more"):
        await held
    assert shared.counters.refusals == {"hold": 1}


def limiter():
    """LiteLLM's own, of the Router that was made last."""
    return next(one for one in reversed(litellm.callbacks) if type(one).__name__ == "RouterBudgetLimiting")


async def spent(name):
    await limiter().dual_cache.async_set_cache(key=name, value=5.0)


async def test_a_deployment_whose_budget_is_spent_meanwhile_gets_no_held_request(shared):
    budget = {"max_budget": 1.0, "budget_duration": "1d"}
    of = router(
        deployment("first", info=ONE_SLOT, mock_delay=0.2, **budget),
        deployment("second", info=ONE_SLOT, mock_delay=0.2),
        routing_strategy_args=HOLD,
    )
    tasks = [asyncio.create_task(ask(of)) for _ in range(4)]
    await until(lambda: len(worker().holding) == 2)
    await spent("deployment_spend:first:1d")
    answered = await asyncio.gather(*tasks)
    assert sorted(answered[:2]) == ["first", "second"]
    assert answered[2:] == ["second", "second"]


async def test_with_its_providers_budget_spent_meanwhile_it_hears_what_one_that_comes_now_hears(shared):
    of = router(
        deployment("only", info=ONE_SLOT, mock_delay=0.2),
        routing_strategy_args=HOLD,
        provider_budget_config={"openai": {"budget_limit": 1.0, "time_period": "1d"}},
    )
    first, held = asyncio.create_task(ask(of)), asyncio.create_task(ask(of))
    await until(lambda: len(worker().holding) == 1)
    await spent("provider_spend:openai:1d")
    assert await first == "only"
    with pytest.raises(Exception, match="budget") as of_held:
        await held
    with pytest.raises(Exception, match="budget") as of_newcomer:
        await ask(of)
    assert type(of_held.value) is type(of_newcomer.value)
    assert str(of_held.value) == str(of_newcomer.value)
    assert len(worker().holding) == 0


class Policy(CustomLogger):
    """A callback of an operator's: it keeps out what is not allowed now."""

    def __init__(self, *allowed):
        super().__init__()
        self.allowed = allowed
        self.takes_s = 0.0

    async def async_filter_deployments(
        self, model, healthy_deployments, messages, request_kwargs=None, parent_otel_span=None
    ):
        await asyncio.sleep(self.takes_s)
        return [one for one in healthy_deployments if one["model_info"]["id"] in self.allowed]


async def test_a_callbacks_filter_that_has_changed_meanwhile_holds_for_who_waits(shared):
    policy = Policy("first", "second")
    litellm.logging_callback_manager.add_litellm_callback(policy)
    of = router(
        deployment("first", info=ONE_SLOT, mock_delay=0.2),
        deployment("second", info=ONE_SLOT, mock_delay=0.2),
        routing_strategy_args=HOLD,
    )
    tasks = [asyncio.create_task(ask(of)) for _ in range(4)]
    await until(lambda: len(worker().holding) == 2)
    policy.allowed = ("second",)
    assert (await asyncio.gather(*tasks))[2:] == ["second", "second"]


async def test_a_filter_that_takes_too_long_in_its_turn_is_not_waited_for(shared):
    policy = Policy("only")
    litellm.logging_callback_manager.add_litellm_callback(policy)
    of = one_server(HOLD)
    first, held = asyncio.create_task(ask(of)), asyncio.create_task(ask(of))
    await until(lambda: len(worker().holding) == 1)
    policy.takes_s = 5.0
    assert await asyncio.gather(first, held) == ["only"] * 2
    assert shared.counters.failures["filters of a held request:TimeoutError"] >= 1
