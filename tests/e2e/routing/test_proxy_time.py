"""The proxy's own time is told apart, and is not taken for the server's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy
from tests.e2e.scrapes import scrape

pytestmark = pytest.mark.slow
BEFORE_S, SENDING_S = 0.15, 0.1
HOOKS = f'''
import asyncio
from litellm.integrations.custom_logger import CustomLogger


class Slow(CustomLogger):
    """Takes its time before LiteLLM's Router is asked, and again before the server is."""

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        await asyncio.sleep({BEFORE_S})

    async def async_pre_call_deployment_hook(self, kwargs, call_type):
        await asyncio.sleep({SENDING_S})
        return kwargs


slow = Slow()
'''
ASKED = 20


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    known = {"quality": 0.5, "tpot_ms": 1.2, "ttft_ms": 5.0}
    config: dict[str, Any] = {
        "model_list": [servers.deployment(n, "auto", routebalance=known) for n in range(2)],
        "litellm_settings": {"callbacks": ["slow_hooks.slow"]},
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {"redis": {"enabled": False}, "predictor": "none"},
        },
    }
    folder = tmp_path_factory.mktemp("proxy-time")
    (folder / "slow_hooks.py").write_text(HOOKS)
    with running_proxy(folder, config) as running:
        yield running


def ask(proxy: Proxy, **fields: Any) -> tuple[dict[str, str], float]:
    """Our headers of a streamed answer, and its TTFT as the client sees it, in s."""
    with proxy.client() as client:
        began = time.perf_counter()
        body = chat("auto", max_tokens=8, stream=True, **fields)
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            seen_s = [time.perf_counter() - began for _ in response.iter_lines()]
    return routed(response), seen_s[0]


def test_it_is_told_apart_and_not_learned_as_the_servers(proxy: Proxy) -> None:
    for _ in range(ASKED):
        ask(proxy)
    headers, ttft_s = ask(proxy)
    proxy_s, forecast_s = float(headers["proxy-ms"]) / 1e3, float(headers["ttft-ms"]) / 1e3
    assert proxy_s > BEFORE_S + SENDING_S
    # What the client waited for is the sum of both; the server's share is the smaller one by far.
    assert ttft_s > proxy_s
    assert forecast_s < SENDING_S


def test_the_status_and_the_metrics_have_its_parts(proxy: Proxy) -> None:
    with proxy.client() as client:
        parts = client.get("/routebalance/status").json()["proxy_s"]
    assert parts["before"] > BEFORE_S
    assert parts["sending"] > SENDING_S
    assert 0.0 < parts["choosing"] < SENDING_S
    scraped = scrape(proxy, "/routebalance/metrics")
    for part in ("before", "choosing", "sending"):
        assert scraped.total("proxy_seconds_count", part=part) >= ASKED


def test_a_limit_counts_it(proxy: Proxy) -> None:
    """Both servers answer in a few milliseconds, and nobody gets an answer within a tenth of a second."""
    with proxy.client() as client:
        strict = {"x-routebalance-ttft-ms": "100", "x-routebalance-slo-mode": "strict"}
        body = chat("auto", max_tokens=8)
        response = client.post("/v1/chat/completions", json=body, headers=strict)
        within = {"x-routebalance-ttft-ms": "2000"}
        answered = client.post("/v1/chat/completions", json=body, headers=within)
    assert response.status_code in (429, 503), response.text
    assert answered.status_code == 200
    assert "relaxed" not in routed(answered)
