"""LiteLLM hands on what llama.cpp's server says of its times: with whole answers always, with streams of
`openai/` models that are not asked for usage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import litellm
import pytest
import pytest_asyncio
from aiohttp import web

from rb_litellm.core.types import Outcome, Stated
from rb_litellm.litellm_adapter.runtime import Runtime
from rb_litellm.litellm_adapter.worker import worker
from tests.litellm_contract.conftest import settled

TIMINGS = {"cache_n": 3, "prompt_n": 1, "prompt_ms": 0.5, "predicted_n": 4, "predicted_ms": 0.25}
STATED = Stated(0.0005, 0.00025, cached_share=0.75, output_tokens=4)
USAGE = {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}
ANSWER = {"id": "chatcmpl-1", "created": 1, "model": "m", "object": "chat.completion"}
CHUNK = {**ANSWER, "object": "chat.completion.chunk"}


async def _chat(request: web.Request) -> web.StreamResponse:
    """As llama.cpp's server answers: the last chunk has its times."""
    body = await request.json()
    if not body.get("stream"):
        message = {"role": "assistant", "content": "What is it?"}
        choice = {"finish_reason": "stop", "index": 0, "message": message}
        return web.json_response({**ANSWER, "choices": [choice], "usage": USAGE, "timings": TIMINGS})
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    deltas += [{"content": word} for word in ("What ", "is ", "it", "?")]
    chunks = [{**CHUNK, "choices": [_choice(delta)]} for delta in deltas]
    chunks.append({**CHUNK, "choices": [_choice({}, "stop")]})
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**CHUNK, "choices": [], "usage": USAGE})
    chunks[-1]["timings"] = TIMINGS
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    """Of the server's API."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def outcome_of(shared: Runtime, address: str, provider: str, **asked: Any) -> Outcome:
    """Of one request through a Router; a stream is passed on as the proxy does."""
    entry = {
        "model_name": "m",
        "litellm_params": {"model": f"{provider}/m", "api_base": address, "api_key": "none"},
        "model_info": {"id": "one", "routebalance": {"quality": 0.5}},
    }
    router = litellm.Router(model_list=[entry], routing_strategy="routebalance")
    answer = await router.acompletion(
        model="m", messages=[{"role": "user", "content": "Well?"}], litellm_call_id="call", **asked
    )
    if asked:
        hook = worker().callbacks.async_post_call_streaming_iterator_hook
        async for _ in hook(None, answer, {"litellm_call_id": "call"}):
            pass
    await settled(shared)
    for _ in range(1_000):  # LiteLLM tells of a success a moment later.
        if shared.outcomes.total:
            break
        await asyncio.sleep(0.01)
    (outcome,) = shared.outcomes
    return outcome


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
async def test_a_whole_answer_comes_with_what_its_server_says_of_its_times(shared, address, provider):
    assert (await outcome_of(shared, address, provider)).stated == STATED


async def test_so_does_a_stream_that_is_not_asked_for_usage(shared, address):
    outcome = await outcome_of(shared, address, "openai", stream=True)
    assert outcome.stated == STATED
    assert outcome.output_tokens == 4


async def test_of_other_streams_they_are_lost_on_the_way_and_nothing_else(shared, address):
    usage = {"include_usage": True}
    outcome = await outcome_of(shared, address, "openai", stream=True, stream_options=usage)
    assert outcome.stated is None
    assert outcome.output_tokens == 4
