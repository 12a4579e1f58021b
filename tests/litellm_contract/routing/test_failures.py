"""Failing upstreams: retries go elsewhere, fallbacks work as before, and nothing stays open."""

import asyncio

import litellm
import pytest

from rb_litellm.core.latency.learning.evidence import Evidence, evidence_of
from rb_litellm.litellm_adapter.worker import worker
from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import HELLO, QUALITY_ONLY, answered_by, ask, deployment, router

BEST, SECOND, THIRD = 0.9, 0.6, 0.3
ERROR = "litellm.InternalServerError"


async def fail(of):
    """Ask in a task of its own, as a server does: its end is the last event of a call that failed."""
    with pytest.raises(litellm.InternalServerError):
        await asyncio.create_task(ask(of))


async def visited(shared):
    """Deployments in the order in which their attempts ended."""
    await settled(shared)
    return [outcome.deployment for outcome in shared.outcomes]


async def test_a_retry_avoids_the_deployment_that_just_failed():
    of = router(deployment("best", BEST, mock_response=ERROR), deployment("second", SECOND), num_retries=1)
    for _ in range(3):
        assert await ask(of) == "second"


async def test_retries_visit_every_candidate_before_any_twice(shared):
    of = router(
        *(deployment(id, q, mock_response=ERROR) for id, q in (("a", BEST), ("b", SECOND), ("c", THIRD))),
        num_retries=3,
    )
    await fail(of)
    order = await visited(shared)
    assert order[:3] == ["a", "b", "c"]
    assert len(order) == 4


def test_a_synchronous_retry_avoids_it_too():
    of = router(deployment("best", BEST, mock_response=ERROR), deployment("second", SECOND), num_retries=1)
    assert answered_by(of.completion(model="auto", messages=HELLO)) == "second"


async def test_the_only_deployment_is_tried_again(shared):
    of = router(deployment("only", BEST, mock_response=ERROR), num_retries=2)
    await fail(of)
    assert await visited(shared) == ["only"] * 3


async def test_the_next_request_may_use_what_the_last_one_avoided(shared):
    of = router(deployment("best", BEST), deployment("second", SECOND), num_retries=1)
    assert [await ask(of) for _ in range(3)] == ["best"] * 3


async def test_a_timeout_is_an_error_like_others(shared):
    of = router(
        deployment("best", BEST, mock_response=None, mock_timeout=True, timeout=0.05),
        deployment("second", SECOND),
        num_retries=1,
    )
    assert await ask(of) == "second"


async def test_what_comes_of_a_clients_own_key_says_nothing_of_the_deployment(shared):
    of = router(deployment("best", BEST))
    await ask(of, api_key="sk-mine")
    with pytest.raises(litellm.InternalServerError):
        await asyncio.create_task(ask(of, api_key="sk-wrong", mock_response=ERROR))
    await settled(shared)
    assert {evidence_of(outcome) for outcome in shared.outcomes} == {Evidence.UNTIMED}
    assert [outcome.error for outcome in shared.outcomes] == [None, "InternalServerError"]


async def test_a_stream_that_cannot_be_opened_is_retried_elsewhere():
    of = router(deployment("best", BEST, mock_response=ERROR), deployment("second", SECOND), num_retries=1)
    stream = await of.acompletion(model="auto", messages=HELLO, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "from second"


async def test_a_fallback_of_a_failing_group_is_routed_too():
    of = router(
        deployment("a", BEST, mock_response=ERROR),
        deployment("b", SECOND, mock_response=ERROR),
        deployment("backup-worse", SECOND, group="backup"),
        deployment("backup-better", BEST, group="backup"),
        fallbacks=[{"auto": ["backup"]}],
    )
    assert await ask(of) == "backup-better"


async def test_litellms_own_test_of_fallbacks_works():
    of = router(deployment("a", BEST), deployment("backup", group="backup"), fallbacks=[{"auto": ["backup"]}])
    assert await ask(of, mock_testing_fallbacks=True) == "backup"


async def test_a_fallback_for_prompts_that_are_too_long_works():
    of = router(
        deployment("a", BEST, mock_response="litellm.ContextWindowExceededError"),
        deployment("long", group="long"),
        context_window_fallbacks=[{"auto": ["long"]}],
    )
    assert await ask(of) == "long"


async def test_a_fallback_to_a_group_of_another_strategy_closes_our_attempt(shared):
    of = router(
        deployment("a", BEST, mock_response=ERROR),
        deployment("backup", group="backup"),
        fallbacks=[{"auto": ["backup"]}],
        routing_groups=[{"group_name": "g", "models": ["backup"], "routing_strategy": "least-busy"}],
    )
    assert await ask(of) == "backup"
    assert await visited(shared) == ["a"]


async def test_an_error_of_the_client_is_not_retried_and_is_closed(shared):
    error = "litellm.ContextWindowExceededError"  # a BadRequestError
    of = router(deployment("best", BEST, mock_response=error), deployment("second", SECOND), num_retries=2)
    with pytest.raises(litellm.BadRequestError):
        await ask(of)
    assert await visited(shared) == ["best"]


async def test_many_failing_requests_leave_nothing_open(shared):
    of = router(
        deployment("a", BEST, mock_response=ERROR),
        deployment("b", SECOND, mock_response=ERROR),
        num_retries=2,
    )
    results = await asyncio.gather(*(ask(of) for _ in range(30)), return_exceptions=True)
    assert all(isinstance(r, litellm.InternalServerError) for r in results)
    await settled(shared)
    assert sum(shared.ledger.closed.values()) == 90


@pytest.mark.parametrize(
    "what",
    [
        "runtime.balancer.decide",
        "runtime.catalog.facts",
        "accounting.call_id",
        "accounting.tried",
        "accounting.open_attempt",
        "ensure_started",
        "accounting._attempts.open",
    ],
)
class TestWhateverFailsInside:
    """The request is routed all the same, to the deployment with the fewest open requests."""

    def break_it(self, monkeypatch, what):
        *path, name = what.split(".")
        holder = worker()
        for part in path:
            holder = getattr(holder, part)

        def broken(*args, **kwargs):
            raise RuntimeError("broken for the test")

        monkeypatch.setattr(holder, name, broken)

    async def test_requests_are_answered(self, shared, monkeypatch, what):
        of = router(*(deployment(f"d{i}", mock_delay=0.2) for i in range(3)))
        self.break_it(monkeypatch, what)
        answered = await asyncio.gather(*(ask(of) for _ in range(9)))
        assert {id: answered.count(id) for id in answered} == {"d0": 3, "d1": 3, "d2": 3}
        assert shared.counters.failures

    def test_synchronous_requests_are_answered(self, shared, monkeypatch, what):
        of = router(*(deployment(f"d{i}") for i in range(3)))
        self.break_it(monkeypatch, what)
        assert answered_by(of.completion(model="auto", messages=HELLO)) in {"d0", "d1", "d2"}

    async def test_a_retry_goes_elsewhere(self, shared, monkeypatch, what):
        of = router(deployment("bad", mock_response=ERROR), deployment("good"), num_retries=3)
        self.break_it(monkeypatch, what)
        assert {await ask(of) for _ in range(3)} == {"good"}

    async def test_policy_still_holds(self, shared, monkeypatch, what):
        of = router(deployment("best", BEST, info={"blocked": True}), deployment("second", SECOND))
        self.break_it(monkeypatch, what)
        assert await ask(of) == "second"


async def test_callbacks_that_fail_do_not_reach_the_client(shared, accounting, monkeypatch):
    of = router(deployment("best", BEST), deployment("second", SECOND))

    def broken(*args, **kwargs):
        raise RuntimeError("broken for the test")

    for name in ("answered", "attempt_failed", "closed", "first_token", "decision"):
        monkeypatch.setattr(accounting, name, broken)
    assert await ask(of) == "best"
    stream = await of.acompletion(model="auto", messages=HELLO, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "from best"
    accounting._attempts.expire(shared.clock() + 1e4)


async def test_a_prediction_that_is_no_number_does_not_stop_a_request(accounting, monkeypatch):
    import numpy as np

    from rb_litellm.predictors import registry

    of = router(deployment("a"), deployment("b"))
    monkeypatch.setattr(registry, "prior_quality", lambda *_: np.nan)
    assert await ask(of) in {"a", "b"}
    assert accounting.decision(None) is None


async def test_a_chat_without_model_is_served_by_default_fallbacks_and_recorded(shared, accounting):
    of = router(deployment("a", BEST), default_fallbacks=["auto"])
    assert await ask(of, model=None) == "a"
    await settled(shared)
    (record,) = [one.record for one in accounting.publisher.log.recent()]
    assert record.deployment == "a"
    # The Rust core has resolved the name before it asks.
    assert record.requested in ("", "auto")
    assert not shared.counters.failures


@pytest.mark.parametrize("mode", ["active", "shadow"])
async def test_a_chat_for_a_model_that_is_not_there_is_served_by_default_fallbacks(shared, mode):
    args = {**QUALITY_ONLY, "mode": mode}
    of = router(deployment("a", BEST), default_fallbacks=["auto"], routing_strategy_args=args)
    assert await ask(of, model="nobody") == "a"
    await settled(shared)
    assert not shared.counters.failures


@pytest.mark.parametrize(
    "wrong", [{"messages": ["hi"]}, {"response_format": "json"}], ids=lambda wrong: next(iter(wrong))
)
async def test_requests_that_litellm_cannot_translate_take_no_deployment_out(shared, wrong):
    # A real provider, for LiteLLM's mock translates nothing; nobody is asked.
    it = deployment("best", BEST)
    it["litellm_params"] = {"model": "hosted_vllm/m", "api_base": "http://127.0.0.1:9/v1"}
    of = router(it, deployment("second", SECOND), num_retries=0)
    for _ in range(5):
        with pytest.raises(Exception, match="litellm"):
            await asyncio.create_task(of.acompletion(**{"model": "auto", "messages": HELLO, **wrong}))
    await settled(shared)
    assert {outcome.deployment for outcome in shared.outcomes} == {"best"}
    assert {evidence_of(outcome) for outcome in shared.outcomes} == {Evidence.REJECTED}
