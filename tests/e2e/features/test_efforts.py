"""Through a real proxy: the joint score chooses a level of effort, and LiteLLM asks the model for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy

pytestmark = pytest.mark.slow
EFFORTS = {
    "low": {"quality": 0.5, "output_tokens": 40},
    "high": {"quality": 0.9, "output_tokens": 60},
}
"""Of `high` the operator says too little: the mock server writes eight times as much as at `low`."""
PLAIN, THINKS, ELSEWHERE = "other", "thinker", "elsewhere"
"""The last is routed by LiteLLM alone."""


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    thinks = servers.deployment(0, THINKS, routebalance={"efforts": EFFORTS})
    plain = servers.deployment(1, PLAIN)
    plain["model_info"]["routebalance"] = {"quality": 0.1, "output_tokens": 40}
    config: dict[str, Any] = {
        "model_list": [thinks, plain, servers.deployment(2, ELSEWHERE)],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": [THINKS, PLAIN],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "predictor": "none",
                        "exploration": {"method": "none"},
                    },
                }
            ],
            "num_retries": 2,
            "disable_cooldowns": True,
            "fallbacks": [{"auto": [ELSEWHERE]}],
        },
    }
    with running_proxy(tmp_path_factory.mktemp("efforts"), config) as running:
        yield running


def ask(
    proxy: Proxy, weights: str = "quality", path: str = "/v1/chat/completions", **body: Any
) -> httpx.Response:
    with proxy.client() as client:
        asked = body or chat("auto")
        response = client.post(
            path, json={"model": "auto", **asked}, headers={"x-routebalance-weights": weights}
        )
    response.raise_for_status()
    return response


def sent(servers: Servers, number: int = 0) -> dict[str, Any]:
    body: dict[str, Any] = servers.last(number)["body"]
    return body


def test_quality_is_bought_with_effort_and_time_with_little_of_it(proxy: Proxy, servers: Servers) -> None:
    for weights, level in (("quality", "high"), ("0.2,0.8,0", "low")):
        headers = routed(ask(proxy, weights))
        assert (headers["deployment"], headers["effort"]) == (f"{THINKS}-0", level)
        assert sent(servers)["reasoning_effort"] == level


def test_a_stream_is_asked_for_in_the_same_way(proxy: Proxy, servers: Servers) -> None:
    ask(proxy, **chat("auto", stream=True))
    assert sent(servers)["reasoning_effort"] == "high"


def test_what_the_client_asks_for_stays(proxy: Proxy, servers: Servers) -> None:
    headers = routed(ask(proxy, **chat("auto", reasoning_effort="low")))
    assert headers["effort"] == "low"
    assert sent(servers)["reasoning_effort"] == "low"
    headers = routed(ask(proxy, **chat("auto", reasoning_effort="medium")))
    assert sent(servers)["reasoning_effort"] == "medium"
    assert "effort" not in headers


def test_the_responses_api_has_levels_too(proxy: Proxy, servers: Servers) -> None:
    headers = routed(ask(proxy, path="/v1/responses", input="What is a balance?"))
    assert headers["effort"] == "high"
    body = sent(servers)
    assert "high" in (body.get("reasoning_effort"), (body.get("reasoning") or {}).get("effort"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "What is a balance?"}),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "What is a balance?"}]}),
    ],
)
def test_other_endpoints_are_left_as_they_are(
    proxy: Proxy, servers: Servers, path: str, body: dict[str, Any]
) -> None:
    assert "effort" not in routed(ask(proxy, path=path, **body))
    assert not sent(servers).keys() & {"reasoning_effort", "reasoning", "thinking"}


def test_an_explanation_shows_each_level_as_a_candidate(proxy: Proxy) -> None:
    told = ask(proxy, path="/routebalance/explain", **chat("auto")).json()
    assert told["effort"] == "high"
    seen = {(one["deployment"], one.get("effort")) for one in told["candidates"]}
    assert seen == {(f"{THINKS}-0", "low"), (f"{THINKS}-0", "high"), (f"{PLAIN}-1", None)}


def test_levels_are_counted_apart(proxy: Proxy) -> None:
    ask(proxy)
    with proxy.client(follow_redirects=True) as client:
        text = client.get("/routebalance/metrics").text
    assert 'routebalance_effort_decisions_total{effort="high"' in text


def test_the_length_of_each_level_is_learned_apart(proxy: Proxy) -> None:
    def told() -> dict[str, float]:
        seen = ask(proxy, path="/routebalance/explain", **chat("auto")).json()["candidates"]
        return {one["effort"]: one["output_tokens"] for one in seen if "effort" in one}

    for number in range(25):
        text = f"What is a balance, seen for the {number}th time?"
        ask(proxy, **chat("auto", text, reasoning_effort="high"))
        ask(proxy, **chat("auto", text, reasoning_effort="low"))
    learned = told()
    assert learned["high"] > 4 * learned["low"]


def test_a_retry_elsewhere_asks_for_no_level_that_is_not_taken_there(proxy: Proxy, servers: Servers) -> None:
    servers.fault(0, error_rate=1.0)
    try:
        headers = routed(ask(proxy))
    finally:
        servers.fault(0)
    assert headers["deployment"] == f"{PLAIN}-1"
    assert "reasoning_effort" not in sent(servers, 1)
    assert sent(servers, 0)["reasoning_effort"] == "high"


def test_a_fallback_that_is_not_routed_here_is_asked_for_no_level(proxy: Proxy, servers: Servers) -> None:
    for number in (0, 1):
        servers.fault(number, error_rate=1.0)
    try:
        ask(proxy)
    finally:
        for number in (0, 1):
            servers.fault(number)
    assert "reasoning_effort" not in sent(servers, 2)
