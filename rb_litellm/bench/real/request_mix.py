"""A random mix of all that clients and upstreams do to a proxy: answers, streams, faults and departures.

The proxy of `configuration` has an upstream for each: three sound servers, a broken one, one that breaks its
streams off, a deployment whose budget is spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from rb_litellm.bench.real.testbed import Servers
from rb_litellm.demo.server.answers import MAX_MODEL_LEN

SERVERS = 5
_BROKEN, _CUTTING = 3, 4
_GIVE_UP_S = 60.0
_HELD_UP = '[[fault {"delay_first_token_s": 2.5}]]'
_LEFT = "left"
_Ends = frozenset[int | str]


def configuration(
    servers: Servers, redis_url: str, namespace: str, *, ttl_s: float, interval_ms: int, cancels: bool
) -> dict[str, Any]:
    """LiteLLM's configuration for the mix; `cancels` is its `cancel_on_disconnect`.

    Leases are far longer than a run, so that none can end what an event should have ended.
    """
    servers.fault(_BROKEN, error_rate=1.0, status=500)
    servers.fault(_CUTTING, break_after_tokens=3)
    poor = servers.deployment(0, "poor")
    poor["litellm_params"] |= {"max_budget": 1e-6, "budget_duration": "1d", "output_cost_per_token": 1.0}
    # A provider whose Responses API LiteLLM makes of chat completions.
    bridged = servers.deployment(0, "bridged")
    bridged["litellm_params"] |= {"model": "deepinfra/mock"}
    return {
        "model_list": [
            *(servers.deployment(number, "main") for number in range(_BROKEN)),
            servers.deployment(0, "flaky"),
            servers.deployment(_BROKEN, "flaky"),
            servers.deployment(_BROKEN, "broken"),
            servers.deployment(_CUTTING, "cutting"),
            poor,
            bridged,
        ],
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {
                "redis": {
                    "url": redis_url,
                    "namespace": namespace,
                    "ttl_s": ttl_s,
                    "interval_ms": interval_ms,
                },
                "lease": {"factor": 100, "floor_s": 3600, "ceiling_s": 7200},
            },
            "num_retries": 1,
            "fallbacks": [{"broken": ["main"]}],
            # Cooldowns would turn most of the faults into refusals before the pick.
            "disable_cooldowns": True,
        },
        "litellm_settings": {
            "cache": True,
            "cache_params": {"type": "local", "mode": "default_off"},
            "callbacks": ["rb_litellm.proxy"],
        },
        "general_settings": {"cancel_on_disconnect": cancels},
    }


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: how often it comes, what is sent, and how it ought to end."""

    weight: int
    body: Callable[[Random], dict[str, Any]]
    expected: _Ends
    """Statuses, or `left` where the client goes away."""
    leaves: Callable[[Random], float | None] = lambda _: None
    """Seconds after which the client goes away; inf for at the first chunk of a stream."""
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)


def _chat(
    model: str, *, tokens: int = 6, text: str = "", **fields: Any
) -> Callable[[Random], dict[str, Any]]:
    def body(random: Random) -> dict[str, Any]:
        prompt = f"Question {random.getrandbits(60):x}. {text}"
        return {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": random.randint(1, 2 * tokens),
            **fields,
        }

    return body


def _responses(random: Random) -> dict[str, Any]:
    chat = _chat("main", tokens=400, stream=True)(random)
    return {
        "model": "bridged",
        "input": chat["messages"][0]["content"],
        "max_output_tokens": chat["max_tokens"],
        "stream": True,
    }


def _text(random: Random) -> dict[str, Any]:
    chat = _chat("main", tokens=400, stream=True)(random)
    question = chat.pop("messages")[0]["content"]
    return {**chat, "prompt": question}


def _perhaps_at_first_chunk(random: Random) -> float | None:
    return _AT_FIRST_CHUNK if random.random() < 0.5 else None


def _cached(random: Random) -> dict[str, Any]:
    body = _chat("main")(random)
    question = f"A question that is asked often, number {random.randrange(5)}."
    return {
        **body,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 5,
        "stream": random.random() < 0.3,
        "cache": {"use-cache": True},
    }


_OK: _Ends = frozenset({200})
_GONE: _Ends = frozenset({_LEFT})
_EITHER: _Ends = _OK | _GONE
_AT_FIRST_CHUNK = float("inf")
KINDS: Mapping[str, Kind] = {
    "success": Kind(26, _chat("main"), _OK),
    "stream": Kind(16, _chat("main", tokens=12, stream=True), _OK),
    "client_gone_in_stream": Kind(
        10, _chat("main", tokens=2000, stream=True), _EITHER, lambda _: _AT_FIRST_CHUNK
    ),
    "client_gone_before_first_token": Kind(
        5, _chat("main", text=_HELD_UP, stream=True), _GONE, lambda random: random.uniform(0.05, 1.0)
    ),
    "client_gone_before_answer": Kind(
        8, _chat("main", text=_HELD_UP), _GONE, lambda random: random.uniform(0.0, 1.0)
    ),
    "upstream_500": Kind(6, _chat("main", text='[[fault {"status": 500}]]'), frozenset({500})),
    "upstream_500_stream": Kind(
        3, _chat("main", text='[[fault {"status": 500}]]', stream=True), frozenset({500})
    ),
    "timeout": Kind(4, _chat("main", text=_HELD_UP, timeout=0.3), frozenset({408})),
    "retry": Kind(7, _chat("flaky"), _OK),
    "fallback": Kind(4, _chat("broken"), _OK),
    "fallback_stream": Kind(2, _chat("broken", stream=True), _OK),
    "cache_hit": Kind(5, _cached, _OK),
    # Every worker lets the first one pass, which spends the budget.
    "rejected_by_budget": Kind(2, _chat("poor"), frozenset({429, 200})),
    "rejected_by_own_budget": Kind(2, _chat("main", routebalance={"max_cost_usd": 1e-12}), frozenset({400})),
    "wrong_control": Kind(1, _chat("main", routebalance={"weights": "nonsense"}), frozenset({400})),
    "oversized_prompt": Kind(2, _chat("main", text="word " * MAX_MODEL_LEN), frozenset({400})),
    "stream_breaks_off": Kind(2, _chat("cutting", tokens=20, stream=True), frozenset({200, 500})),
    # Clients may choose a call's id, and give it to many requests at a time.
    "call_id_of_many": Kind(2, _chat("main", stream=True), _OK, headers={"x-litellm-call-id": "always"}),
    "responses_stream": Kind(1, _responses, _EITHER, _perhaps_at_first_chunk, "/v1/responses"),
    "messages_stream": Kind(
        1, _chat("main", tokens=400, stream=True), _EITHER, _perhaps_at_first_chunk, "/v1/messages"
    ),
    "text_stream": Kind(1, _text, _EITHER, _perhaps_at_first_chunk, "/v1/completions"),
}


class Client:
    """Sends requests of the mix, each on a connection of its own so that all workers get some."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=_GIVE_UP_S),
        )
        self._url = url

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, kind: Kind, random: Random) -> int | str:
        """One request; its HTTP status, `left`, or the name of what broke the connection."""
        leaves = kind.leaves(random)
        body = kind.body(random)
        try:
            if leaves is None or leaves == _AT_FIRST_CHUNK:
                return await self._ask(kind, body, leaves is not None)
            return await asyncio.wait_for(self._ask(kind, body, False), leaves)
        except asyncio.TimeoutError:
            return _LEFT if leaves is not None else "TimeoutError"
        except aiohttp.ClientError as error:
            return type(error).__name__

    async def hold(self, tokens: int, began: Callable[[], None], release: Awaitable[Any]) -> None:
        """Keep a stream open, unread after its first chunk, until it is released or breaks."""
        body = _chat("main", stream=True)(Random(0)) | {"max_tokens": tokens}
        try:
            async with self._session.post(f"{self._url}{KINDS['stream'].path}", json=body) as response:
                await response.content.readline()
                began()
                await release
                response.close()
        except aiohttp.ClientError:
            return

    async def _ask(self, kind: Kind, body: dict[str, Any], at_first_chunk: bool) -> int | str:
        address = f"{self._url}{kind.path}"
        async with self._session.post(address, json=body, headers=kind.headers) as response:
            if at_first_chunk and response.status == 200:
                await response.content.readline()
                response.close()
                return _LEFT
            await response.read()
            return response.status
