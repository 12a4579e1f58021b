"""A model server that becomes slower while it answers: forecasts follow before any answer ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Proxy, Servers, chat, running_proxy

pytestmark = pytest.mark.slow
SLOW = 20.0
"""From the beginning: of the mock servers' 1.2 ms a token, 24 are made, so that answers take their time."""


def seen(proxy: Proxy) -> dict[str, Any]:
    """What the proxy says of the slowed server."""
    with proxy.client() as client:
        told = client.get("/routebalance/status").json()
    [row] = [row for tier in told["tiers"] for row in tier["deployments"] if row["id"] == "small-0"]
    return row


def test_streams_in_mid_flight_on_a_slowed_server_change_its_forecast_before_they_end(
    servers: Servers, tmp_path: Path
) -> None:
    known = {"quality": 0.3, "tpot_ms": 1.2 * SLOW, "ttft_ms": 30.0}
    config = {
        "model_list": [servers.deployment(0, "small", routebalance=known)],
        "router_settings": {"routing_strategy": "routebalance"},
        # With that LiteLLM makes each answer in a task of its own, which ends when the stream begins.
        "litellm_settings": {"sse_keepalive_ping_interval_seconds": 30},
    }

    def answer(proxy: Proxy, number: int) -> None:
        with proxy.client() as client:
            body = chat("small", f"What is {number}?", max_tokens=20, stream=True)
            assert "[DONE]" in client.post("/v1/chat/completions", json=body).text

    servers.fault(0, slowdown=SLOW)
    try:
        with running_proxy(tmp_path, config) as proxy, ExitStack() as streams:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda number: answer(proxy, number), range(12)))
            before = seen(proxy)["tpot_s"]
            client = streams.enter_context(proxy.client())
            begun = [
                streams.enter_context(client.stream("POST", "/v1/chat/completions", json=body)).iter_lines()
                for body in [chat("small", stream=True)] * 3
            ]
            for lines in begun:
                next(lines)
            servers.fault(0, slowdown=5 * SLOW)
            proxy.child.wait_until(lambda: seen(proxy)["tpot_s"] > 3.0 * before, 10.0)
            assert seen(proxy)["own_in_flight"] == 3
    finally:
        servers.fault(0)
