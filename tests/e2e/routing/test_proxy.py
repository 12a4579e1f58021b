"""One proxy with two workers, three models behind `auto`: what a client sees, and what is left open after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy, shared_state

pytestmark = pytest.mark.slow
NAMESPACE = "proxy"


@pytest.fixture(scope="module")
def proxy(redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    def deployment(number: int, group: str, quality: float, **info: Any) -> dict[str, Any]:
        known = {"quality": quality, "tpot_ms": 1.2, "ttft_ms": 5.0}
        return servers.deployment(number, group, routebalance=known, **info)

    config = {
        "model_list": [
            deployment(0, "small", 0.3),
            deployment(1, "small", 0.3),
            deployment(2, "large", 0.9),
            deployment(3, "other", 0.5),
            deployment(4, "embed", 0.5, mode="embedding"),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "weights": "quality",
                        "redis": {"url": redis.url, "namespace": NAMESPACE},
                    },
                },
                {
                    "group_name": "thrifty",
                    "models": ["embed"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "weights": "cost",
                        "redis": {"url": redis.url, "namespace": NAMESPACE},
                    },
                },
                {"group_name": "shuffled", "models": ["other"], "routing_strategy": "simple-shuffle"},
            ],
            "num_retries": 2,
        },
    }
    with running_proxy(tmp_path_factory.mktemp("proxy"), config, workers=2) as running:
        yield running


def nothing_open(redis: RedisServer) -> bool:
    return not any(row["in_flight"] for row in shared_state(redis.url, NAMESPACE)["deployments"])


def test_auto_is_decided_over_the_members_of_the_group(proxy: Proxy) -> None:
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=chat("auto", max_tokens=5))
    headers = routed(response)
    assert headers["candidates"] == "3"
    # With nine tenths against three tenths of quality, four fifths of the weight decide.
    assert headers["model"] == "large"
    assert headers["deployment"] == response.headers["x-litellm-model-id"]
    wanted = {"deployment", "model", "score", "quality", "ttft-ms", "e2e-ms", "cost-usd", "candidates"}
    assert wanted | {"decision-ms", "proxy-ms", "reason"} == set(headers)


def test_a_member_is_decided_within_itself(proxy: Proxy) -> None:
    with proxy.client() as client:
        headers = routed(client.post("/v1/chat/completions", json=chat("small", max_tokens=5)))
    assert headers["candidates"] == "2"
    assert headers["model"] == "small"


def test_a_group_of_another_strategy_is_not_ours(proxy: Proxy) -> None:
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=chat("shuffled", max_tokens=5))
    assert response.status_code == 200
    assert routed(response) == {}


def test_a_stream_carries_the_headers_and_all_its_tokens(proxy: Proxy) -> None:
    body = chat("auto", max_tokens=12, stream=True, stream_options={"include_usage": True})
    with proxy.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert routed(response)["reason"] == "joint"
        lines = [line for line in response.iter_lines() if line.startswith("data: {")]
    assert json.loads(lines[-1][6:])["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "thrifty", "input": "some words"}),
        ("/v1/embeddings", {"model": "thrifty", "input": ["some", "words"]}),
        ("/v1/responses", {"model": "auto", "input": "What is a balance?", "max_output_tokens": 5}),
        (
            "/v1/messages",
            {
                "model": "auto",
                "max_tokens": 5,
                "messages": [{"role": "user", "content": "What is a balance?"}],
            },
        ),
        ("/v1/completions", {"model": "auto", "prompt": "What is a balance?", "max_tokens": 5}),
    ],
)
def test_other_endpoints_are_routed_too(proxy: Proxy, path: str, body: dict[str, Any]) -> None:
    with proxy.client() as client:
        response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert routed(response)["reason"] in ("joint", "only-candidate")


@pytest.mark.parametrize(
    ("path", "body", "token"),
    [
        ("/v1/responses", {"input": "What is a balance?", "max_output_tokens": 8}, "output_text.delta"),
        ("/v1/messages", {"messages": chat("")["messages"], "max_tokens": 8}, "content_block_delta"),
        ("/v1/completions", {"prompt": "What is a balance?", "max_tokens": 8}, '"text":'),
    ],
)
def test_streams_of_other_endpoints_carry_the_headers_and_leave_nothing_open(
    proxy: Proxy, redis: RedisServer, path: str, body: dict[str, Any], token: str
) -> None:
    asked = {"model": "auto", "stream": True, **body}
    with proxy.client() as client, client.stream("POST", path, json=asked) as response:
        assert routed(response)["reason"] == "joint"
        assert any(token in line for line in response.iter_lines())
    proxy.child.wait_until(lambda: nothing_open(redis), 20.0)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "What?"}, IMAGE]}], id="image"),
        pytest.param(
            [
                {"role": "user", "content": "Look."},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "seen"},
            ],
            id="tool-calls",
        ),
        pytest.param([{"role": "user", "content": ""}], id="empty-content"),
        pytest.param([{"role": "user", "content": "x " * 100_000}], id="200-kB"),
        pytest.param([{"role": "user", "content": "\ud800 \x00 \u202e"}], id="lone-surrogate"),
        pytest.param([], id="no-messages"),
        pytest.param([{"role": "user", "content": {"unheard": "of"}}], id="content-is-an-object"),
        pytest.param([{"content": "no role"}], id="no-role"),
    ],
)
def test_whatever_a_message_holds_is_routed_or_refused_by_litellm_or_the_model(
    proxy: Proxy, messages: list[Any]
) -> None:
    body = json.dumps({"model": "auto", "max_tokens": 3, "messages": messages}).encode()
    with proxy.client() as client:
        response = client.post(
            "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
        plain = client.post(
            "/v1/chat/completions",
            content=body.replace(b'"auto"', b'"shuffled"'),
            headers={"content-type": "application/json"},
        )
    assert response.status_code == plain.status_code, response.text
    if response.status_code == 200:
        assert routed(response)["reason"] == "joint"


def test_a_body_that_is_not_utf8_is_answered_as_without_us(proxy: Proxy) -> None:
    body = b'{"model": "auto", "messages": [{"role": "user", "content": "\xff\xfe"}]}'
    with proxy.client() as client:
        status = [
            client.post(
                "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
            ).status_code
            for content in (body, body.replace(b'"auto"', b'"shuffled"'))
        ]
    assert status[0] == status[1]


def test_a_retry_goes_elsewhere_and_the_client_gets_an_answer(proxy: Proxy, servers: Servers) -> None:
    servers.fault(0, error_rate=1.0, status=500)
    try:
        with proxy.client() as client:
            for _ in range(6):
                response = client.post("/v1/chat/completions", json=chat("small", max_tokens=3))
                assert response.status_code == 200, response.text
                assert routed(response)["deployment"] == "small-1"
    finally:
        servers.fault(0)


def test_an_error_of_the_only_model_is_the_clients_and_nothing_stays_open(
    proxy: Proxy, redis: RedisServer
) -> None:
    with proxy.client() as client:
        text = 'Fail. [[fault {"status": 400}]]'
        response = client.post("/v1/chat/completions", json=chat("auto", text, max_tokens=3))
    assert response.status_code == 400
    proxy.child.wait_until(lambda: nothing_open(redis), 20.0)


async def test_clients_that_leave_leave_nothing_open(proxy: Proxy, redis: RedisServer) -> None:
    async def leave(client: httpx.AsyncClient, stream: bool, after_s: float) -> None:
        body = chat("auto", max_tokens=3000, stream=stream)
        try:
            if not stream:
                await asyncio.wait_for(client.post("/v1/chat/completions", json=body), after_s)
                return
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                async for _ in response.aiter_lines():
                    return
        except asyncio.TimeoutError:
            return

    async with proxy.async_client() as client:
        await asyncio.gather(*(leave(client, number % 2 == 0, 0.5) for number in range(20)))
    await asyncio.to_thread(proxy.child.wait_until, lambda: nothing_open(redis), 60.0)


class View(NamedTuple):
    """Open requests as one worker knows them: its own, and all."""

    own: int
    total: float


def seen_by_both(proxy: Proxy) -> list[View]:
    """Ask for the status by one new connection after another, until both workers have answered."""
    views: dict[str, View] = {}
    for _ in range(200):
        with proxy.client() as client:
            told = client.get("/routebalance/status").json()
        rows = [row for tier in told["tiers"] for row in tier["deployments"]]
        own, total = (sum(row[name] for row in rows) for name in ("own_in_flight", "in_flight"))
        views[told["worker"]] = View(own, total)
        if len(views) == 2:
            break
    return list(views.values())


async def test_workers_see_each_others_load(proxy: Proxy, redis: RedisServer, servers: Servers) -> None:
    for number in (0, 1):
        servers.fault(number, slowdown=200)  # nothing ends while we look

    # Connections of their own, so that both workers take some.
    async def hold(started: asyncio.Semaphore, release: asyncio.Event) -> None:
        async with proxy.async_client() as client:
            body = chat("small", max_tokens=2000, stream=True)
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                async for _ in response.aiter_lines():
                    started.release()
                    await release.wait()
                    return

    started, release = asyncio.Semaphore(0), asyncio.Event()
    holding = [asyncio.create_task(hold(started, release)) for _ in range(16)]
    try:
        for _ in holding:
            await asyncio.wait_for(started.acquire(), 60.0)

        def told() -> bool:
            workers = shared_state(redis.url, NAMESPACE)["workers"]
            return len(workers) == 2 and sum(worker["in_flight"] for worker in workers) == 16

        await asyncio.to_thread(proxy.child.wait_until, told, 20.0)
        views = await asyncio.to_thread(seen_by_both, proxy)
        assert all(view.total == 16 for view in views)
        assert sum(view.own for view in views) == 16
    finally:
        for number in (0, 1):
            servers.fault(number)
        release.set()
        await asyncio.gather(*holding)
    await asyncio.to_thread(proxy.child.wait_until, lambda: nothing_open(redis), 60.0)
