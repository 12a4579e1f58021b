"""The mock servers: OpenAI's words, vLLM's metrics, slots freed when clients leave, faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from rb_litellm.demo.backend import Manner, Place, paper_places, start
from rb_litellm.demo.load import fire, poisson
from rb_litellm.demo.server.answers import AnswerLengths, prompt_id

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}


@dataclass
class Client:
    """What the tests do with one server."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        async with self.session.post(self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def stats(self) -> dict[str, int]:
        async with self.session.get(f"{self.url}/admin/stats") as response:
            result: dict[str, int] = await response.json()
            return result

    async def until(self, reached: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        while not reached(now := await self.stats()):
            pass
        return now


@asynccontextmanager
async def server(**manner: Any) -> AsyncIterator[Client]:
    runners, [place] = await start([Place("m-1", 0, "m", "paper-3b")], Manner(**manner), "127.0.0.1")
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(f"http://127.0.0.1:{place.port}", session)
    finally:
        for runner in runners:
            await runner.cleanup()


async def test_answers_have_the_same_length_streamed_and_whole() -> None:
    async with server(time_scale=500, stream_interval=4) as client:
        _, whole = await client.post("/v1/chat/completions", CHAT)
        stream = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
        async with client.session.post(f"{client.url}/v1/chat/completions", json=stream) as response:
            streamed = (await response.text()).strip().split("\n\n")
    tokens = AnswerLengths(167.0).output_tokens("hello there", "m")
    assert whole["usage"]["completion_tokens"] == tokens
    assert len(whole["choices"][0]["message"]["content"].split()) == tokens
    assert f'"completion_tokens":{tokens}' in streamed[-2]
    assert streamed[-1] == "data: [DONE]"
    assert '"content":" a"' in streamed[0]


async def test_max_tokens_ends_the_answer_and_says_so() -> None:
    async with server(time_scale=500) as client:
        _, answer = await client.post("/v1/chat/completions", {**CHAT, "max_tokens": 3})
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_lengths_can_come_from_a_table() -> None:
    async with server(time_scale=500, lengths={prompt_id("hello there"): {"m": 7}}) as client:
        _, answer = await client.post("/v1/completions", {"model": "m", "prompt": "hello there"})
    assert answer["usage"]["completion_tokens"] == 7


async def test_client_that_leaves_frees_its_slot() -> None:
    async with server(time_scale=0.2) as client:
        request = asyncio.ensure_future(client.post("/v1/chat/completions", CHAT))
        await client.until(lambda stats: stats["running"] == 1)
        request.cancel()
        now = await client.until(lambda stats: stats["open"] == 0)
    assert now["running"] == now["waiting"] == 0
    assert now["aborted"] == 1


@pytest.mark.parametrize(
    ("wish", "status"),
    [({"x-mock-fault": '{"status": 503}'}, 503), ({"x-mock-fault": '{"error_rate": 0.0}'}, 200), ({}, 200)],
)
async def test_request_may_ask_for_a_fault(wish: dict[str, str], status: int) -> None:
    async with server(time_scale=500) as client:
        assert (await client.post("/v1/chat/completions", CHAT, **wish))[0] == status


async def test_prompt_may_ask_for_a_fault() -> None:
    messages = [{"role": "user", "content": 'please [[fault {"status": 429}]]'}]
    async with server(time_scale=500) as client:
        assert (await client.post("/v1/chat/completions", {**CHAT, "messages": messages}))[0] == 429


async def test_fault_that_cannot_be_read_is_a_bad_request() -> None:
    async with server(time_scale=500) as client:
        status, answer = await client.post("/v1/chat/completions", CHAT, **{"x-mock-fault": '{"rate": 1}'})
    assert status == 400
    assert "rate" in answer["error"]["message"]


async def test_admin_sets_and_clears_faults() -> None:
    async with server(time_scale=500) as client:
        await client.post("/admin/faults", {"error_rate": 1.0, "status": 502})
        assert (await client.post("/v1/chat/completions", CHAT))[0] == 502
        await client.session.delete(f"{client.url}/admin/faults")
        assert (await client.post("/v1/chat/completions", CHAT))[0] == 200
        assert (await client.post("/admin/faults", {"errors": 1}))[0] == 400


async def test_hanging_server_answers_nobody_until_the_client_leaves() -> None:
    async with server(time_scale=500) as client:
        await client.post("/admin/faults", {"hang": True})
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.post("/v1/chat/completions", CHAT), 0.3)
        assert (await client.until(lambda stats: stats["open"] == 0))["running"] == 0


async def test_stream_can_break_off_in_the_middle() -> None:
    async with server(time_scale=100) as client:
        await client.post("/admin/faults", {"break_after_tokens": 5})
        [answer] = await fire(poisson(["hello there"], 1, 100.0, seed=0), f"{client.url}/v1", "m")
    assert not answer.ok
    assert answer.ttft_s is not None


async def test_metrics_carry_vllms_names() -> None:
    async with server() as client, client.session.get(f"{client.url}/metrics") as response:
        text = await response.text()
    assert 'vllm:num_requests_running{engine="0",model_name="m"} 0' in text
    assert "vllm:kv_cache_usage_perc" in text


async def test_unknown_model_and_overlong_prompt_are_refused_as_vllm_does() -> None:
    async with server() as client:
        assert (await client.post("/v1/chat/completions", {**CHAT, "model": "other"}))[0] == 404
        status, answer = await client.post("/v1/completions", {"model": "m", "prompt": "word " * 10_000})
    assert status == 400
    assert "maximum context length is 8192" in answer["error"]["message"]


async def test_embeddings_depend_on_the_text_alone() -> None:
    async with server(time_scale=500) as client:
        _, answer = await client.post("/v1/embeddings", {"model": "m", "input": ["a", "b", "a"]})
    vectors = [row["embedding"] for row in answer["data"]]
    assert vectors[0] == vectors[2] != vectors[1]


async def test_load_measures_first_token_before_end_and_reads_usage() -> None:
    async with server(time_scale=20, stream_interval=8) as client:
        shots = poisson(["one", "two", "three"], 6, 200.0, seed=1)
        answers = await fire(shots, f"{client.url}/v1", "m", max_tokens=40)
    assert [answer.shot for answer in answers] == shots
    for answer in answers:
        assert answer.ok
        assert answer.ttft_s is not None
        assert 0.0 < answer.ttft_s <= answer.e2e_s
        assert 1 <= answer.output_tokens <= 40


def test_same_seed_gives_the_same_load_at_about_the_rate() -> None:
    shots = poisson(["a", "b"], 4000, 20.0, seed=3)
    assert shots == poisson(["a", "b"], 4000, 20.0, seed=3)
    assert shots != poisson(["a", "b"], 4000, 20.0, seed=4)
    assert 190.0 < shots[-1].at_s < 210.0


def test_paper_cluster_stands_on_consecutive_ports() -> None:
    assert [place.port for place in paper_places(9001)] == list(range(9001, 9014))
    twice = paper_places(9001, copies=2)
    assert [place.id for place in twice[:13]] == [place.id for place in twice[13:]]
    assert len({place.port for place in twice}) == 26
