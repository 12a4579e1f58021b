"""Every kind of request is routed, and its load is gone when it is over, however it ends."""

import asyncio
from collections import Counter

import litellm
import pytest

from rb_litellm.litellm_adapter import strategy
from rb_litellm.litellm_adapter.request.waiting import pending
from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import HELLO, QUALITY_ONLY, answered_by, ask, deployment, router

BEST, SECOND = 0.9, 0.4


@pytest.fixture
def two():
    return router(deployment("best", BEST), deployment("second", SECOND))


async def test_a_chat_is_answered_and_learned_from(two, shared):
    assert await ask(two) == "best"
    await settled(shared)
    for _ in range(300):
        if len(shared.outcomes):
            break
        await asyncio.sleep(0.01)
    (outcome,) = shared.outcomes
    assert (outcome.deployment, outcome.error) == ("best", None)
    assert outcome.output_tokens > 0
    assert outcome.cost_usd > 0.0


async def test_a_mocked_answer_is_no_evidence_of_a_servers_speed(two, shared):
    for stream in (False, True):
        answer = await two.acompletion(model="auto", messages=HELLO, stream=stream)
        if stream:
            _ = [chunk async for chunk in answer]
    await settled(shared)
    for _ in range(300):
        if len(shared.outcomes) == 2:
            break
        await asyncio.sleep(0.01)
    assert [outcome.timed for outcome in shared.outcomes] == [False, False]
    assert not any(outcome.first_token_learned for outcome in shared.outcomes)


async def test_a_stream_is_answered_to_its_end(two, shared):
    stream = await two.acompletion(model="auto", messages=HELLO, stream=True)
    assert len(shared.ledger) == 1
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "from best"


async def test_a_stream_that_breaks_is_closed(shared, accounting):
    of = router(deployment("best", BEST, mock_response="Exception: mock_streaming_error"))
    with pytest.raises(Exception):  # noqa: B017, PT011  LiteLLM wraps it differently from release to release
        async for _ in await of.acompletion(model="auto", messages=HELLO, stream=True):
            pass
    await settled(shared, 3.0)
    if len(shared.ledger):  # the SDK does not always tell of it; then the lease ends it
        accounting._attempts.expire(shared.clock() + 1e4)


def test_a_synchronous_call_is_answered(two):
    assert answered_by(two.completion(model="auto", messages=HELLO)) == "best"


def test_a_synchronous_stream_is_answered(two):
    stream = two.completion(model="auto", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "from best"


def test_a_synchronous_call_that_fails_is_closed(shared):
    of = router(deployment("best", BEST, mock_response="litellm.InternalServerError"))
    with pytest.raises(litellm.InternalServerError):
        of.completion(model="auto", messages=HELLO)


async def test_a_text_completion_is_answered(two):
    assert answered_by(await two.atext_completion(model="auto", prompt="Once upon a time")) == "best"


async def test_a_responses_request_is_answered(two):
    assert answered_by(await two.aresponses(model="auto", input="Hello")) == "best"


async def test_a_responses_request_of_items_is_answered(two):
    items = [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]
    assert answered_by(await two.aresponses(model="auto", input=items, instructions="Be brief.")) == "best"


@pytest.mark.parametrize("settings", [{}, {"mode": "shadow"}, {"admission": {"max_wait_s": 1e-9}}])
async def test_a_look_which_deployment_it_may_be_is_no_request(shared, settings):
    """LiteLLM counts tokens so, which coding agents ask for before each of their requests."""
    of = router(deployment("a"), deployment("b"), routing_strategy_args={**QUALITY_ONLY, **settings})
    found = {
        (await of.async_get_available_deployment(model="auto", request_kwargs={}))["model_info"]["id"]
        for _ in range(20)
    }
    assert found <= {"a", "b"}
    await asyncio.create_task(asyncio.sleep(0))
    assert shared.counters.decisions == 0
    assert not shared.counters.refusals
    assert not shared.ledger.closed


async def test_an_anthropic_request_is_answered(two):
    response = await two.aanthropic_messages(model="auto", messages=HELLO, max_tokens=20)
    assert "from best" in str(response)


async def test_an_embedding_goes_by_latency_and_cost():
    # Names of their own: LiteLLM remembers for the whole process that a model only embeds.
    def embedding(id, price, ttft_ms):
        return deployment(
            id,
            info={"mode": "embedding", "routebalance": {"ttft_ms": ttft_ms}},
            mock_response=[0.1, 0.2],
            input_cost_per_token=price,
        )

    of = router(
        # So dear that the moment for which LiteLLM has yet to tell of an answer's end changes nothing.
        embedding("embed-dear", 1e-3, 100),
        embedding("embed-slow", 1e-6, 900),
        embedding("embed-good", 1e-6, 100),
        routing_strategy_args={"weights": "balanced"},
    )
    texts = {"model": "auto", "input": ["one", "two"]}
    assert {answered_by(await of.aembedding(**texts)) for _ in range(3)} == {"embed-good"}
    assert answered_by(of.embedding(model="auto", input="one")) == "embed-good"


async def test_a_budget_gives_only_requests_that_are_answered_in_text_a_limit_on_tokens(monkeypatch):
    limited = []
    monkeypatch.setattr(pending, "clamp", lambda *args: limited.append(args))
    of = router(
        deployment("own-embedder", group="embed", mock_response=[0.1]),
        deployment("gpt-image-1", group="image", mock_response="https://picture"),
        deployment("own-chat", group="chat"),
        routing_strategy_args={"max_cost_usd": 0.5},
    )
    await of.aembedding(model="embed", input=["one"])
    await of.aimage_generation(model="image", prompt="a cat")
    assert limited == []
    await of.acompletion(model="chat", messages=HELLO)
    await of.aresponses(model="chat", input="one")
    assert len(limited) == 2


async def test_a_request_of_googles_own_api_is_read_and_limited_in_its_form(monkeypatch):
    decided = []
    monkeypatch.setattr(strategy, "held_to_budget", lambda its, *_: decided.append(its) or its.entries[0])
    of = router(deployment("best"), routing_strategy_args={"max_cost_usd": 0.5})
    asked = {"contents": [{"role": "user", "parts": [{"text": "Why?"}]}], "generationConfig": {"topK": 1}}
    await of.agenerate_content(model="auto", **asked)
    (one,) = decided
    assert (one.api, one.prompt.text) == ("google", "Why?")
    assert one.request_kwargs["generationConfig"] is asked["generationConfig"]


async def test_embeddings_of_token_numbers_are_routed():
    of = router(deployment("best", BEST, mock_response=[0.1], info={"mode": "embedding"}))
    assert answered_by(await of.aembedding(model="auto", input=[[1, 2, 3]])) == "best"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "nonsense"}]}],
        [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
            }
        ],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}],
        [{"role": "tool", "tool_call_id": "1", "content": "42"}],
        [{"role": "user", "content": "\ud800"}],
        [{"role": "user", "content": "x" * 200_000}],
    ],
    ids=["none", "empty", "null", "unknown part", "image", "tool call", "tool", "surrogate", "200 KB"],
)
async def test_odd_messages_are_routed_unless_litellm_itself_refuses_them(two, messages):
    plain = router(deployment("best", BEST), routing_strategy="simple-shuffle")
    assert await outcome(two, messages) == await outcome(plain, messages)


async def outcome(of, messages):
    """Who answered, or what LiteLLM raised: its mock cannot count the tokens of everything."""
    try:
        return await ask(of, messages=messages)
    except litellm.APIConnectionError as error:
        return str(error)


async def test_tools_and_limits_are_routed(two):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    assert await ask(two, tools=[tool], max_tokens=3, response_format={"type": "json_object"}) == "best"


async def test_a_client_that_leaves_before_its_answer_is_no_load_any_more(shared):
    of = router(deployment("best", BEST, mock_delay=60))
    task = asyncio.ensure_future(ask(of))
    for _ in range(500):
        if len(shared.ledger):
            break
        await asyncio.sleep(0.01)
    assert len(shared.ledger) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert len(shared.ledger) == 0


async def test_a_burst_spreads_over_equals_instead_of_herding(shared):
    of = router(*(deployment(f"d{i}", mock_delay=0.3) for i in range(4)))
    answered = Counter(await asyncio.gather(*(ask(of) for _ in range(16))))
    assert set(answered.values()) == {4}


async def test_requests_of_a_burst_are_decided_in_batches(shared, monkeypatch):
    of = router(*(deployment(f"d{i}", mock_delay=0.1) for i in range(4)))
    sizes = []
    decide = shared.balancer.decide
    monkeypatch.setattr(
        shared.balancer, "decide", lambda asks, *rest: sizes.append(len(asks)) or decide(asks, *rest)
    )
    await asyncio.gather(*(ask(of) for _ in range(16)))
    assert sum(sizes) == 16
    assert max(sizes) > 1


async def test_a_busy_deployment_is_left_for_a_quicker_one():
    of = router(
        deployment("better", 0.6, mock_delay=1.0, info={"routebalance": {"quality": 0.6, "hosted": False}}),
        deployment("other", 0.5, mock_delay=1.0, info={"routebalance": {"quality": 0.5, "hosted": False}}),
        routing_strategy_args={"weights": {"quality": 0.5, "latency": 0.5, "cost": 0.0}},
    )
    answered = Counter(await asyncio.gather(*(ask(of) for _ in range(200))))
    assert answered["better"] > answered["other"] > 0
