"""An open-loop load: requests leave at seeded Poisson times whatever the answers do, and the client measures.

Open loop is what shows queues: a client that waits for answers slows its own load down with the server.
TTFT is from sending to the first content of the stream, E2E to its end, both by this client's clock.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from rb_litellm.demo.truth import RIGHT, WRONG

TIMEOUT_S = 300.0
"""A request that takes longer is counted as failed."""
_TAIL = max(len(RIGHT), len(WRONG))


@dataclass(frozen=True, slots=True)
class Shot:
    """One request to be sent: when (s after the start) and which prompt."""

    at_s: float
    prompt: str


@dataclass(slots=True)
class Answer:
    """What the client saw of one request."""

    shot: Shot
    status: int = 0
    """0 where no response came at all."""
    error: str | None = None
    ttft_s: float | None = None
    e2e_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    right: bool | None = None
    """Whether the answer is right, where its server says so."""
    deployment: str = ""
    """x-litellm-model-id."""
    group: str = ""
    """x-litellm-model-group."""
    routebalance: dict[str, str] = field(default_factory=dict)
    """The x-routebalance-* headers without that prefix."""

    @property
    def ok(self) -> bool:
        """A whole answer came."""
        return self.error is None


def poisson(prompts: Sequence[str], requests: int, rate: float, seed: int) -> list[Shot]:
    """`requests` shots at `rate` per second; prompts in shuffled rounds, each about as often."""
    random = Random(seed)
    order: list[str] = []
    while len(order) < requests:
        order.extend(random.sample(list(prompts), len(prompts)))
    at_s, shots = 0.0, []
    for prompt in order[:requests]:
        at_s += random.expovariate(rate)
        shots.append(Shot(at_s, prompt))
    return shots


async def fire(
    shots: Sequence[Shot],
    base_url: str,
    model: str,
    api_key: str | None = None,
    max_tokens: int | None = None,
    stream: bool = True,
    on_answer: Callable[[Answer], None] = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> list[Answer]:
    """Send all shots at their times to `base_url` (.../v1) and wait for every answer; answers in shot order.

    Failures are answers with `error` set; nothing is retried. `extra` is merged into every body.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    body: dict[str, Any] = {"model": model, "stream": stream, **(extra or {})}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    clock = asyncio.get_running_loop().time
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        start = clock()

        async def one(shot: Shot) -> Answer:
            await asyncio.sleep(max(start + shot.at_s - clock(), 0.0))
            messages = [{"role": "user", "content": shot.prompt}]
            answer = await _ask(session, f"{base_url}/chat/completions", shot, {**body, "messages": messages})
            on_answer(answer)
            return answer

        return await asyncio.gather(*(one(shot) for shot in shots))


async def _ask(session: aiohttp.ClientSession, url: str, shot: Shot, body: Mapping[str, Any]) -> Answer:
    clock = asyncio.get_running_loop().time
    answer = Answer(shot)
    sent = clock()
    try:
        async with session.post(url, json=body) as response:
            answer.status = response.status
            _read_headers(answer, response.headers)
            if response.status != 200:
                answer.error = (await response.text())[:500]
            elif body["stream"]:
                await _read_stream(answer, response, sent)
            else:
                document = await response.json()
                _read_usage(answer, document)
                _read_mark(answer, document["choices"][0]["message"]["content"] or "")
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    answer.e2e_s = clock() - sent
    return answer


async def _read_stream(answer: Answer, response: aiohttp.ClientResponse, sent: float) -> None:
    clock = asyncio.get_running_loop().time
    ended, tail = False, ""
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        data = line[6:].strip()
        if data == b"[DONE]":
            ended = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            answer.error = str(chunk["error"])[:500]
            return
        text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
        if text:
            if answer.ttft_s is None:
                answer.ttft_s = clock() - sent
            tail = (tail + text)[-_TAIL:]
        _read_usage(answer, chunk)
    _read_mark(answer, tail)
    if not ended:
        answer.error = "the stream broke off"


def _read_mark(answer: Answer, text: str) -> None:
    if text.endswith((RIGHT, WRONG)):
        answer.right = text.endswith(RIGHT)


def _read_usage(answer: Answer, document: Mapping[str, Any]) -> None:
    usage = document.get("usage")
    if usage:
        answer.input_tokens = usage["prompt_tokens"]
        answer.output_tokens = usage["completion_tokens"]


def _read_headers(answer: Answer, headers: Mapping[str, str]) -> None:
    answer.deployment = headers.get("x-litellm-model-id", "")
    answer.group = headers.get("x-litellm-model-group", "")
    prefix = "x-routebalance-"
    answer.routebalance = {
        name.lower().removeprefix(prefix): value
        for name, value in headers.items()
        if name.lower().startswith(prefix)
    }
