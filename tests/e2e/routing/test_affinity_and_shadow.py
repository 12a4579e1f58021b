"""Through a real proxy: a conversation stays where its beginning is cached; shadow mode only watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy, running_servers, shared_state

pytestmark = pytest.mark.slow
SYSTEM = "You are a patient teacher of physics. Say what is known and what is not. " * 400
"""Half a second of prefill: more than what a busy machine adds to the time of three tokens."""
PATIENCE_S = 60.0
AGREED = 8
"""Answers in a row, over as many connections: both workers are asked."""


@pytest.fixture(scope="module")
def caching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that keep the beginnings of prompts, and take the time of real ones for the rest."""
    with running_servers(tmp_path_factory.mktemp("caching"), 5, time_scale=1.0, prefix_cache=True) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(
    redis: RedisServer, servers: Servers, caching: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    arguments = {
        "redis": {"url": redis.url, "namespace": "affinity"},
        "affinity": {"imbalance": 4, "switch_cost": 0.2},
        # Where a busy machine makes a server look slow, a trial would be right to leave it.
        "exploration": {"method": "none"},
    }
    group = {"group_name": "auto", "models": ["a", "b"], "routing_strategy": "routebalance"}
    shadow = {"mode": "shadow", "weights": "quality", "redis": arguments["redis"]}
    watched = {**group, "group_name": "watched", "models": ["good", "bad"]}
    known = {"tpot_ms": 1.2, "ttft_ms": 5.0}
    config = {
        "model_list": [
            *(caching.deployment(number, "ab"[number % 2]) for number in range(5)),
            servers.deployment(0, "good", routebalance={"quality": 0.9, **known}),
            servers.deployment(1, "bad", routebalance={"quality": 0.1, **known}),
        ],
        "router_settings": {
            "routing_groups": [
                {**group, "routing_strategy_args": arguments},
                {**watched, "routing_strategy_args": shadow},
            ]
        },
    }
    with running_proxy(tmp_path_factory.mktemp("proxy"), config, workers=2) as running:
        # One worker may serve before the other exchanges load with it.
        running.child.wait_until(lambda: len(shared_state(redis.url, "affinity")["workers"]) == 2, PATIENCE_S)
        yield running


def conversation(*turns: str) -> dict[str, Any]:
    body = chat("auto", max_tokens=3)
    roles = ["user", "assistant"] * len(turns)
    body["messages"] = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
    return body


def post(proxy: Proxy, path: str, body: dict[str, Any]) -> httpx.Response:
    # A connection of its own for each request, so that both workers get some.
    with proxy.client() as client:
        response = client.post(path, json=body)
    response.raise_for_status()
    return response


def test_the_turns_of_a_conversation_stay_on_one_deployment_whichever_worker_decides(proxy: Proxy) -> None:
    def asked(body: dict[str, Any]) -> str:
        return routed(post(proxy, "/v1/chat/completions", body))["deployment"]

    first = asked(conversation(SYSTEM + "What is light?"))
    turns = conversation(SYSTEM + "What is light?", "A wave, and a particle.", "How can it be both?")

    def both_know() -> bool:
        told = [post(proxy, "/routebalance/explain", turns).json()["chosen"] for _ in range(AGREED)]
        return set(told) == {first}

    for _ in range(AGREED):
        # Nobody asks on before an answer is read. By then the other worker has heard that it is over.
        # Only one of five would do: that both workers choose it is no chance.
        proxy.child.wait_until(both_know, PATIENCE_S)
        assert asked(turns) == first


def test_a_named_session_stays_with_its_model_though_it_is_short(proxy: Proxy) -> None:
    with proxy.client() as client:
        models = []
        for _ in range(6):
            # One connection: sessions are remembered by the worker that serves them.
            body = chat("auto", "Hi", max_tokens=3, metadata={"session_id": "short"})
            models.append(routed(client.post("/v1/chat/completions", json=body))["model"])
    assert len(set(models)) == 1


def test_shadow_mode_serves_with_litellms_strategy_and_tells_what_it_would_have_done(proxy: Proxy) -> None:
    with proxy.client() as client:
        told = [
            routed(client.post("/v1/chat/completions", json=chat("watched", max_tokens=3))) for _ in range(20)
        ]
        report = client.get("/routebalance/shadow").json()
    assert {headers["reason"] for headers in told} == {"shadow"}
    assert {headers["model"] for headers in told} == {"good", "bad"}
    assert {headers["would-model"] for headers in told} == {"good"}
    # One connection was served by one worker, which may answer the report as well.
    assert report["decisions"] in (0, 20)
