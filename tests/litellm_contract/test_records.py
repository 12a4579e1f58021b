"""The decision in LiteLLM's own records: metadata of the request, logging payload, spans, spend logs."""

import asyncio
from datetime import datetime

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

from tests.litellm_contract import private_names
from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import HELLO, ask, deployment, router

ERROR = "litellm.InternalServerError"
PRE_ROUTING_HOOK = private_names.pre_routing_hook()


class Payloads(CustomLogger):
    """What a logging integration is handed of requests that began after it was made: LiteLLM logs late, so
    that those of the test before may come meanwhile."""

    def __init__(self):
        super().__init__()
        self.since = datetime.now()
        self.succeeded, self.failed, self.spend = [], [], []

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload

        if start_time < self.since:
            return
        self.succeeded.append(kwargs["standard_logging_object"])
        self.spend.append(get_logging_payload(kwargs, response_obj, start_time, end_time))

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        if start_time >= self.since:
            self.failed.append(kwargs["standard_logging_object"])

    async def decision(self, patience=200):
        """The decision of the one success that is logged."""
        for _ in range(patience):
            if self.succeeded:
                return self.succeeded[0]["metadata"]["routing_decision"]
            await asyncio.sleep(0.02)
        raise AssertionError("nothing was logged")


@pytest.fixture
def payloads(shared):
    """First among the callbacks, so that nobody else's work is seen by accident."""
    logger = Payloads()
    litellm.callbacks.insert(0, logger)
    return logger


def test_what_auto_routers_record_with_exists():
    assert hasattr(*private_names.record())


async def test_a_logging_integration_gets_the_decision(payloads):
    of = router(deployment("best", 0.9), deployment("second", 0.4))
    await ask(of)
    decision = await payloads.decision()
    assert decision["router_type"] == "routebalance"
    assert decision["router_model_name"] == "auto"
    assert decision["routed_model"] == "auto"
    assert decision["score"] == pytest.approx(0.9)
    assert "quality 0.90" in decision["signals"]
    detail = decision["routebalance"]
    assert detail["deployment"] == "best"
    assert [candidate["deployment"] for candidate in detail["top"]] == ["best", "second"]
    assert detail["weights"] == {"quality": 1.0, "latency": 0.0, "cost": 0.0}


async def test_what_was_measured_is_in_it_by_the_time_it_is_logged(payloads):
    await ask(router(deployment("best"), deployment("second")))
    measured = (await payloads.decision())["routebalance"]["measured"]
    assert measured["output_tokens"] > 0
    assert measured["open_s"] >= 0.0


async def test_a_streamed_request_has_it_too(payloads):
    of = router(deployment("best", 0.9), deployment("second", 0.4))
    stream = await of.acompletion(model="auto", messages=HELLO, stream=True)
    async for _ in stream:
        pass
    detail = (await payloads.decision())["routebalance"]
    assert detail["deployment"] == "best"
    assert detail["measured"]["ttft_s"] >= 0.0


async def test_after_a_retry_it_is_the_decision_that_was_answered(payloads, shared):
    of = router(
        deployment("best", 0.9, mock_response=ERROR), deployment("second", 0.4), num_retries=2, retry_after=0
    )
    await ask(of)
    detail = (await payloads.decision())["routebalance"]
    assert detail["deployment"] == "second"
    assert detail["attempt"] == 1
    assert detail["tried"] == ["best"]
    await settled(shared)


async def test_a_fallback_to_a_group_of_another_strategy_leaves_no_decision_of_ours(payloads, shared):
    of = router(
        deployment("only", mock_response=ERROR, group="ours"),
        deployment("other", group="others"),
        routing_strategy="simple-shuffle",
        routing_groups=[{"group_name": "g", "models": ["ours"], "routing_strategy": "routebalance"}],
        fallbacks=[{"g": ["others"]}],
    )
    assert await ask(of, "g") == "other"
    assert await payloads.decision() is None
    await settled(shared)


async def test_the_spend_log_row_carries_it(payloads):
    import json

    await ask(router(deployment("best", 0.9), deployment("second", 0.4)))
    await payloads.decision()
    metadata = json.loads(payloads.spend[0]["metadata"])
    assert metadata["routing_decision"]["router_type"] == "routebalance"
    assert metadata["routing_decision"]["routebalance"]["deployment"] == "best"


async def test_the_span_attributes_are_those_of_litellms_own_routers(payloads):
    from litellm.integrations.otel.routing import routing_decision_attributes

    await ask(router(deployment("best", 0.9), deployment("second", 0.4)))
    attributes = routing_decision_attributes(await payloads.decision())
    assert attributes["litellm.routing.router_type"] == "routebalance"
    assert attributes["litellm.routing.routed_model"] == "auto"
    assert attributes["litellm.routing.score"] == pytest.approx(0.9)


async def test_an_auto_routers_own_decision_stays_and_ours_stands_beside_it(payloads, monkeypatch):
    of = router(deployment("best", 0.9), deployment("second", 0.4))
    complexity = {"router_model_name": "smart", "router_type": "complexity", "cause": "heuristic_scorer"}

    async def hook(self, model, request_kwargs, **_):
        request_kwargs["metadata"]["routing_decision"] = complexity

    monkeypatch.setattr(*PRE_ROUTING_HOOK, hook)
    await ask(of)
    decision = await payloads.decision()
    assert {name: decision[name] for name in complexity} == complexity
    assert decision["routebalance"]["deployment"] == "best"


async def test_no_word_of_the_prompt_is_in_it(payloads):
    messages = [{"role": "user", "content": "Zanzibar xylophone"}]
    await ask(router(deployment("a"), deployment("b")), messages=messages)
    assert "Zanzibar" not in str(await payloads.decision())


async def test_with_message_logging_off_the_decision_is_still_whole(payloads, monkeypatch):
    monkeypatch.setattr(litellm, "turn_off_message_logging", True)
    await ask(router(deployment("best", 0.9), deployment("second", 0.4)))
    decision = await payloads.decision()
    assert decision["routebalance"]["deployment"] == "best"
    assert decision["score"] == pytest.approx(0.9)


async def test_records_that_fail_leave_the_request_alone(shared, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("broken for the test")

    of = router(deployment("best", 0.9), deployment("second", 0.4))
    monkeypatch.setattr(*private_names.record(), broken)
    # The hook that clears it before each pick is LiteLLM's own and not ours to guard.
    monkeypatch.setattr(*PRE_ROUTING_HOOK, lambda *_, **__: asyncio.sleep(0))
    assert await ask(of) == "best"
    assert shared.counters.failures["records:RuntimeError"] == 1
