"""Through a real proxy: an agent's loop stays where its cache is, survives a failure, and can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, Servers, routed, running_proxy

pytestmark = pytest.mark.slow
QUESTION = "Make the tests of the parser pass. " * 300
"""About 3,000 tokens, which take longer to compute than equal servers differ in."""
TOOLS = [
    {"name": "run", "description": "Run a command.", "input_schema": {"type": "object", "properties": {}}}
]
CALLS = 6
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    equal = {"quality": 0.5, "tpot_ms": 1.2, "ttft_ms": 5.0, "prefill_ms_per_1k_tokens": 200}
    dear = {"input_cost_per_token": 1e-5, "output_cost_per_token": 1e-5}
    good, cheap = servers.deployment(3, "either"), servers.deployment(4, "either")
    good["litellm_params"].update(api_key="an account", **dear)
    good["model_info"]["routebalance"] = {"quality": 0.9, "tpot_ms": 1.2, "ttft_ms": 5.0}
    cheap["litellm_params"].update(api_key="another")
    cheap["model_info"]["routebalance"] = {"quality": 0.2, "tpot_ms": 1.2, "ttft_ms": 5.0}
    arguments = {"agents": {}, "predictor": "none", "exploration": {"method": "none"}}
    config: dict[str, Any] = {
        "model_list": [
            *(servers.deployment(number, "coder", routebalance=equal) for number in range(3)),
            good,
            cheap,
        ],
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": arguments,
            "num_retries": 2,
        },
    }
    with running_proxy(tmp_path_factory.mktemp("proxy"), config) as running:
        yield running


def told(response: httpx.Response) -> dict[str, str]:
    response.raise_for_status()
    return routed(response)


def loop(proxy: Proxy, calls: int, headers: Mapping[str, str], question: str = QUESTION) -> list[str]:
    """The deployments of an agent's calls, each with the result of another tool call."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    used = []
    with proxy.client() as client:
        for call in range(calls):
            body = {"model": "coder", "max_tokens": 3, "messages": messages, "tools": TOOLS}
            used.append(told(client.post("/v1/messages", json=body, headers=headers))["deployment"])
            use = {"type": "tool_use", "id": f"toolu_{call}", "name": "run", "input": {}}
            result = {
                "type": "tool_result",
                "tool_use_id": f"toolu_{call}",
                "content": f"{call} failed " * 20,
            }
            messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return used


def test_the_calls_of_a_coding_agent_stay_on_one_deployment(proxy: Proxy) -> None:
    assert len(set(loop(proxy, CALLS, {"x-claude-code-session-id": "e96634a3-fa28-4083"}))) == 1


def test_loops_without_a_session_are_known_by_their_beginning(proxy: Proxy) -> None:
    assert len(set(loop(proxy, CALLS, {}, "Look for callers of it. " * 400))) == 1


def test_after_a_failure_the_loop_stays_where_it_went(proxy: Proxy, servers: Servers) -> None:
    headers = {"x-claude-code-session-id": "b7c1d2aa-0000-4083"}
    question = "Write the missing tests. " * 400
    (first,) = loop(proxy, 1, headers, question)
    number = int(first.rpartition("-")[2])
    servers.fault(number, error_rate=1.0)
    try:
        (second,) = loop(proxy, 1, headers, question)
    finally:
        servers.fault(number)
    assert second != first
    assert set(loop(proxy, CALLS, headers, question)) == {second}


def respond(proxy: Proxy, weights: str, *items: object, session: str) -> str:
    """The deployment of a call as Codex makes it."""
    headers = {
        "user-agent": "codex_cli_rs/0.130.0 (Debian 13; x86_64)",
        "session-id": session,
        "x-routebalance-weights": weights,
    }
    question = {"type": "message", "role": "user", "content": "What is a parser?"}
    body = {"model": "either", "max_output_tokens": 3, "input": [question, *items]}
    with proxy.client() as client:
        return told(client.post("/v1/responses", json=body, headers=headers))["deployment"]


def test_encrypted_reasoning_stays_in_the_account_that_wrote_it(proxy: Proxy) -> None:
    session = "0199a213-81c0-7800"
    assert respond(proxy, "cost", session=session) == "either-4"
    assert respond(proxy, "quality", REASONING, session=session) == "either-4"
    assert respond(proxy, "quality", session=session) == "either-3"


def test_a_response_goes_on_where_it_is_kept(proxy: Proxy) -> None:
    body = {"model": "either", "max_output_tokens": 3, "input": "What is a parser?"}
    with proxy.client() as client:
        first = client.post("/v1/responses", json=body, headers={"x-routebalance-weights": "cost"})
        assert told(first)["deployment"] == "either-4"
        more = {**body, "previous_response_id": first.json()["id"]}
        next_ = client.post("/v1/responses", json=more, headers={"x-routebalance-weights": "quality"})
    assert told(next_)["deployment"] == "either-4"
