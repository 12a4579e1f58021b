"""A proxy on a LiteLLM whose private names are not where a host expects them: it serves all the same."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litellm
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy, shared_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(litellm.Router, "register_plugin"), reason="this LiteLLM has no register_plugin"
    ),
]
NAMESPACE = "unknown-release"
NOTICED_S = 5.0
HIDDEN_NAMES = Path(__file__).parent / "hidden_names"
DROPPER = """
from litellm.integrations.custom_logger import CustomLogger

class Dropper(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        if "Drop the plugin." in str(data.get("messages")):
            from litellm.proxy.proxy_server import llm_router
            from litellm.router_api import ChangeSet

            core = vars(llm_router)["_core"]
            for strategy in ("least-busy", "simple-shuffle"):
                type(core).apply(core, ChangeSet(settings={"routing_strategy": strategy}))

dropper = Dropper()
"""


@pytest.fixture(scope="module")
def proxy(redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    def deployment(number: int, group: str, quality: float) -> dict[str, Any]:
        known = {"quality": quality, "tpot_ms": 1.2, "ttft_ms": 5.0}
        return servers.deployment(number, group, routebalance=known)

    args = {"weights": "quality", "redis": {"url": redis.url, "namespace": NAMESPACE}}
    config = {
        "model_list": [
            deployment(0, "small", 0.3),
            deployment(1, "small", 0.3),
            deployment(2, "large", 0.9),
            deployment(3, "other", 0.5),
        ],
        "litellm_settings": {"callbacks": ["dropper.dropper"]},
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": args,
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": args,
                },
                {"group_name": "shuffled", "models": ["other"], "routing_strategy": "simple-shuffle"},
            ],
            "num_retries": 2,
        },
    }
    folder = tmp_path_factory.mktemp("unknown-release")
    (folder / "dropper.py").write_text(DROPPER)
    path = [str(HIDDEN_NAMES), *filter(None, [os.environ.get("PYTHONPATH")])]
    with running_proxy(folder, config, env={"PYTHONPATH": os.pathsep.join(path)}) as running:
        yield running


def test_what_cannot_work_is_told_in_one_warning(proxy: Proxy) -> None:
    assert proxy.child.output().count("public entry points alone") == 1


def test_auto_is_decided_over_the_members_of_the_group(proxy: Proxy) -> None:
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=chat("auto", max_tokens=5))
    headers = routed(response)
    assert (headers["model"], headers["candidates"], headers["reason"]) == ("large", "3", "joint")
    assert headers["deployment"] == response.headers["x-litellm-model-id"]


def test_a_stream_carries_the_headers_and_all_its_tokens(proxy: Proxy) -> None:
    body = chat("auto", max_tokens=12, stream=True, stream_options={"include_usage": True})
    with proxy.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert routed(response)["reason"] == "joint"
        lines = [line for line in response.iter_lines() if line.startswith("data: {")]
    assert json.loads(lines[-1][6:])["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "auto", "input": "What is a balance?", "max_output_tokens": 5}),
        (
            "/v1/messages",
            {"model": "auto", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]},
        ),
        ("/v1/completions", {"model": "auto", "prompt": "What is a balance?", "max_tokens": 5}),
    ],
)
def test_other_endpoints_are_routed_too(proxy: Proxy, path: str, body: dict[str, Any]) -> None:
    with proxy.client() as client:
        response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert routed(response)["model"] == "large"


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


def test_a_group_of_another_strategy_is_not_ours(proxy: Proxy) -> None:
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=chat("shuffled", max_tokens=5))
    assert response.status_code == 200
    assert routed(response) == {}


def test_explain_says_how_a_request_would_be_decided(proxy: Proxy) -> None:
    with proxy.client() as client:
        response = client.post("/routebalance/explain", json=chat("auto", max_tokens=5))
    assert response.status_code == 200, response.text
    assert response.json()["chosen"] == "large-2"


def test_litellms_own_refusal_reaches_the_client(proxy: Proxy) -> None:
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=chat("no-such-model"))
    assert response.status_code == 400


def test_a_plugin_that_litellm_drops_is_back_within_seconds(proxy: Proxy) -> None:
    with proxy.client() as client:

        def ours(text: str) -> bool:
            response = client.post("/v1/chat/completions", json=chat("auto", text, max_tokens=3))
            assert response.status_code == 200, response.text
            return routed(response) != {}

        assert ours("Hello.")
        dropped = time.monotonic()
        assert not ours("Drop the plugin.")
        while not ours("Hello.") and time.monotonic() - dropped < 2 * NOTICED_S:
            time.sleep(0.2)
        assert time.monotonic() - dropped < NOTICED_S
    assert "had dropped the plugin" in proxy.child.output()


def test_nothing_is_left_open(proxy: Proxy, redis: RedisServer) -> None:
    def nothing_open() -> bool:
        return not any(row["in_flight"] for row in shared_state(redis.url, NAMESPACE)["deployments"])

    proxy.child.wait_until(nothing_open, 20.0)
