"""What a request may cost at most holds whatever it asks for: read is what a server is really sent."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.proxy import Proxy, chat, running_proxy
from tests.security.conftest import KEYS, key, send

pytestmark = pytest.mark.slow
CAP_USD = 0.05
USD_PER_TOKEN = 1e-5
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "text": "hi", "message": {"role": "assistant", "content": "hi"}}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
}


class Upstream(ThreadingHTTPServer):
    """Answers everything but what is asked of `broken`, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Upstream)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        fails = body["model"] == "broken"
        answer = json.dumps({"error": {"message": "broken"}} if fails else ANSWER).encode()
        self.send_response(503 if fails else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def capped(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("capped")
    shutil.copy(KEYS, folder / "keys.py")
    params = {
        "model": "hosted_vllm/priced",
        "api_base": upstream.url,
        "api_key": "none",
        "input_cost_per_token": USD_PER_TOKEN,
        "output_cost_per_token": USD_PER_TOKEN,
    }
    group = {
        "group_name": "auto",
        "models": ["priced"],
        "routing_strategy": "routebalance",
        "routing_strategy_args": {
            "max_cost_usd": CAP_USD,
            "overrides": {"caps": {"max_cost_usd": {"max": CAP_USD}}},
        },
    }
    config = {
        "model_list": [{"model_name": "priced", "litellm_params": params, "model_info": {"id": "priced"}}],
        "router_settings": {"routing_groups": [group], "num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"custom_auth": "keys.authenticate"},
    }
    with running_proxy(folder, config) as proxy:
        yield proxy


def most_usd(body: dict[str, Any]) -> float:
    """What the answers to this body may cost at most, by a server that takes numbers written as texts."""
    limits = [int(body[name]) for name in ("max_tokens", "max_completion_tokens") if body.get(name)]
    choices = max(int(body.get(name) or 1) for name in ("n", "best_of"))
    prompts = len(body["prompt"]) if isinstance(body.get("prompt"), list) else 1
    assert limits
    assert min(limits) >= 1
    shown = len(json.dumps(body.get("messages") or body.get("prompt")))
    # No text has fewer tokens than one for a word of a dozen characters.
    return (max(limits) * choices * prompts + shown / 12.0) * USD_PER_TOKEN


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "many words " * 9_000}}
ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "many choices": {"n": 5_000},
    "choices as a text": {"n": "500"},
    "a limit as a text": {"max_completion_tokens": "900000"},
    "a limit below nothing": {"max_tokens": -1},
    "no limit": {"max_tokens": 0},
    "another endpoint's limit": {"max_output_tokens": 7},
    "a limit laid over": {"extra_body": {"max_tokens": 10**6}},
    "another limit laid over": {"max_tokens": 5, "extra_body": {"max_completion_tokens": 10**6}},
    "choices laid over": {"extra_body": {"n": 900}},
    "another prompt laid over": {"extra_body": {"messages": [{"role": "user", "content": "word " * 40_000}]}},
    "arguments of calls": {
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "x"},
        ]
    },
    "many messages": {"messages": [{"role": "user", "content": "a few words of this " * 2}] * 3_000},
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_chat_costs_no_more_than_its_cap(capped: Proxy, upstream: Upstream, asked: str) -> None:
    upstream.asked.clear()
    answer = send(capped, key(user_id=asked), "/v1/chat/completions", {**chat("auto"), **ASKED[asked]})
    assert answer.status_code in (200, 400), answer.text
    assert (answer.status_code == 200) == bool(upstream.asked)
    for body in upstream.asked:
        assert most_usd(body) <= CAP_USD, body.get("max_tokens")


@pytest.mark.parametrize("asked", [{}, {"prompt": ["hi"] * 300}, {"best_of": 50}, {"extra_body": {"n": 50}}])
def test_a_completion_costs_no_more_than_its_cap(
    capped: Proxy, upstream: Upstream, asked: dict[str, Any]
) -> None:
    upstream.asked.clear()
    answer = send(capped, key(user_id="text"), "/v1/completions", {"model": "auto", "prompt": "hi", **asked})
    assert answer.status_code == 200, answer.text
    (body,) = upstream.asked
    assert most_usd(body) <= CAP_USD


def test_a_limit_of_chats_does_not_stand_in_for_that_of_responses(capped: Proxy, upstream: Upstream) -> None:
    upstream.asked.clear()
    body = {"model": "auto", "input": "hi", "max_tokens": 10**6}
    send(capped, key(user_id="responses"), "/v1/responses", body)
    assert upstream.asked[0]["max_output_tokens"] * USD_PER_TOKEN <= CAP_USD


@pytest.fixture(scope="module")
def failing_over(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A dear model that is liked best and fails, and one at a tenth of its price."""
    folder = tmp_path_factory.mktemp("failing-over")
    shutil.copy(KEYS, folder / "keys.py")
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"hosted_vllm/{name}",
                "api_base": upstream.url,
                "api_key": "none",
                "input_cost_per_token": usd,
                "output_cost_per_token": usd,
            },
            "model_info": {"id": name, "routebalance": {"quality": quality}},
        }
        for name, usd, quality in (
            ("broken", 10 * USD_PER_TOKEN, 0.9),
            ("priced", USD_PER_TOKEN, 0.1),
        )
    ]
    group = {
        "group_name": "auto",
        "models": ["broken", "priced"],
        "routing_strategy": "routebalance",
        "routing_strategy_args": {
            "max_cost_usd": CAP_USD,
            "weights": {"quality": 1.0, "latency": 0.0, "cost": 0.0},
            "predictor": "none",
            "overrides": {"caps": {"max_cost_usd": {"max": CAP_USD}}},
        },
    }
    config = {
        "model_list": models,
        "router_settings": {"routing_groups": [group], "num_retries": 2, "disable_cooldowns": True},
        "general_settings": {"custom_auth": "keys.authenticate"},
    }
    with running_proxy(folder, config) as proxy:
        yield proxy


def test_what_a_budget_pays_for_at_one_price_does_not_bind_at_another(
    failing_over: Proxy, upstream: Upstream
) -> None:
    upstream.asked.clear()
    answer = send(failing_over, key(user_id="retried"), "/v1/chat/completions", chat("auto"))
    assert answer.status_code == 200, answer.text
    first, last = upstream.asked[0], upstream.asked[-1]
    assert (first["model"], last["model"]) == ("broken", "priced")
    assert first["max_tokens"] * 10 * USD_PER_TOKEN <= CAP_USD
    assert last["max_tokens"] > 5 * first["max_tokens"]
    assert most_usd(last) <= CAP_USD
