"""Each kind of failure, as LiteLLM tells of it through a real proxy, is known for what it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from rb_litellm.demo.processes import free_port
from tests.e2e.proxy import Proxy, Servers, chat, running_proxy

pytestmark = pytest.mark.slow
FAULTS: dict[str, dict[str, Any]] = {
    "refused": {},
    "error": {"status": 500, "error_rate": 1.0},
    "timed out": {"hang": True},
    "cut": {"break_after_tokens": 3},
}
"""Of each kind, what the server is asked to do; the first is asked at a port where nobody listens."""
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    entries = []
    for number, kind in enumerate(FAULTS):
        entry = servers.deployment(number, kind, routebalance={"quality": 0.5})
        entry["litellm_params"] |= {"timeout": 1.0, "max_retries": 0}
        entries.append(entry)
    entries[0]["litellm_params"]["api_base"] = f"http://127.0.0.1:{free_port()}/v1"
    config = {
        "model_list": entries,
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {"redis": {"enabled": False}, "predictor": "none"},
            "num_retries": 0,
            "disable_cooldowns": True,
        },
    }
    with running_proxy(tmp_path_factory.mktemp("failure-kinds"), config) as running:
        yield running


def chances(proxy: Proxy, model: str) -> dict[str, float]:
    """What the status says of the only deployment of a model; waits until it says something."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with proxy.client() as client:
            tiers = client.get("/routebalance/status").json()["tiers"]
        (row,) = [row for tier in tiers for row in tier["deployments"] if row["model"] == model]
        if row["failure_chance"] or time.monotonic() > deadline:
            found: dict[str, float] = row["failure_chance"]
            return found
        time.sleep(0.2)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failure_is_known_for_what_it_is(proxy: Proxy, servers: Servers, kind: str) -> None:
    number = list(FAULTS).index(kind)
    servers.fault(number, **FAULTS[kind])
    try:
        with proxy.client() as client:
            body = chat(kind, max_tokens=40, stream=kind == "cut")
            response = client.post("/v1/chat/completions", json=body, timeout=30.0)
    finally:
        servers.fault(number)
    # The beginning of a stream that breaks off has told its client that all is well.
    assert response.status_code >= 400 or kind == "cut", response.text
    assert list(chances(proxy, kind)) == [kind]
