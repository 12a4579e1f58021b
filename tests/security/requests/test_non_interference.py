"""Two proxies, one of them with another tenant's traffic: whoever is no admin gets byte-equal answers.

But for what docs/security.md names as load: waits, forecasts, scores, and choices that follow from them. The
deployments answer at once, without a network, so that here nothing waits and no choice depends on load; the
times that answers take, and what LiteLLM counts and measures itself, are left out by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, chat
from tests.security.conftest import key, send, shared_proxy

pytestmark = pytest.mark.slow
OURS_OF_LOAD = (
    "x-routebalance-decision-ms",
    "x-routebalance-proxy-ms",
    "x-routebalance-ttft-ms",
    "x-routebalance-e2e-ms",
    "x-routebalance-score",
)
"""Headers that tell of load, or of the time that it takes to decide."""
LITELLMS = ("date", "x-litellm-call-id", "x-litellm-response-duration-ms", "x-litellm-overhead-duration-ms",
            "x-litellm-callback-duration-ms", "x-litellm-timing-", "x-litellm-key-")  # fmt: skip
OF_LOAD = ("proxy_s", "wait_s", "ttft_s", "tpot_s", "e2e_s", "score", "latency")
"""Parts of an explanation that tell of load."""
MADE_UP = re.compile(r'"(id|created|created_at|call_id|litellm_call_id|completed_at)": ?("[^"]*"|\d+)')

ONE = key(team_id="one", user_id="me")
OTHER = key(team_id="other", user_id="not me")
SENT = "alpha beta gamma delta " * 200


def everything(proxy: Proxy) -> list[str]:
    """What an ordinary key can ask, and what it is answered."""
    session = {"metadata": {"session_id": "their-session"}}
    told = []
    for group in ("strict", "lenient", "capped", "chat", "shared"):
        for text in (SENT, "Hello"):
            asked = chat(group, text, **session)
            explained = _text(send(proxy, ONE, "/routebalance/explain", asked), _load_out)
            told += [explained, _text(send(proxy, ONE, "/v1/chat/completions", asked))]
    told.append(_text(send(proxy, ONE, "/v1/chat/completions", chat("chat", SENT, stream=True))))
    told.append(_text(send(proxy, ONE, "/v1/responses", {"model": "lenient", "input": SENT})))
    for path in (
        "",
        "status",
        "events",
        "shadow",
        "metrics",
        "feedback",
        "whatif?quality=1&latency=0&cost=0",
    ):
        told.append(_text(send(proxy, ONE, f"/routebalance/{path}")))
    told.append(_text(send(proxy, ONE, "/routebalance/feedback", {"call_id": "x", "score": 1.0})))
    told.append(_text(send(proxy, ONE, "/v1/models")))
    refused = {"routing_strategy": "least-busy", "routebalance": {"max_cost_usd": 7}}
    told.append(_text(send(proxy, ONE, "/v1/chat/completions", chat("capped", **refused))))
    return told


def traffic(proxy: Proxy) -> None:
    """Another tenant: the same prompts and sessions, other controls, refusals, grades, explanations."""
    for group in ("strict", "lenient", "capped", "chat", "shared"):
        for weights in ("cost", "quality", "latency"):
            fields: dict[str, Any] = {
                "metadata": {"session_id": "their-session"},
                "routebalance": {"weights": weights},
            }
            for text in (SENT, "Hello"):
                send(proxy, OTHER, "/v1/chat/completions", chat(group, text, **fields))
                send(proxy, OTHER, "/routebalance/explain", chat(group, text, **fields))
    for wrong in ({"weights": "none"}, {"max_cost_usd": "9" * 400}, 7):
        send(proxy, OTHER, "/v1/chat/completions", chat("capped", routebalance=wrong))
    send(proxy, proxy.key, "/routebalance/feedback", {"call_id": "theirs", "score": 0.0})


def _text(answer: httpx.Response, told: Callable[[Any], Any] = lambda body: body) -> str:
    headers = {
        name: value
        for name, value in sorted(answer.headers.items())
        if name not in OURS_OF_LOAD and not name.startswith(LITELLMS)
    }
    body = answer.text
    if "json" in answer.headers.get("content-type", ""):
        body = json.dumps(told(answer.json()), sort_keys=True)
    headers.pop("content-length", None)  # the body's, made-up ids of another length and all
    return json.dumps([answer.status_code, headers]) + MADE_UP.sub(r'"\1"', body)


def _load_out(told: Any) -> Any:
    """An explanation without its figures of load, its candidates in a fixed order."""
    if isinstance(told, dict):
        kept = {name: _load_out(value) for name, value in told.items() if name not in OF_LOAD}
        if "candidates" in kept:
            kept["candidates"].sort(key=lambda one: one["deployment"])
        return kept
    return [_load_out(one) for one in told] if isinstance(told, list) else told


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return _run(tmp_path_factory.mktemp("alone"), with_traffic=False)


@pytest.fixture(scope="module")
def beside_another(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return _run(tmp_path_factory.mktemp("beside"), with_traffic=True)


def _run(folder: Path, with_traffic: bool) -> list[str]:
    with shared_proxy(folder) as proxy:
        if with_traffic:
            traffic(proxy)
        first = everything(proxy)
        if with_traffic:
            traffic(proxy)
        return [*first, *everything(proxy)]


def test_no_answer_tells_what_another_tenant_did(alone: list[str], beside_another: list[str]) -> None:
    assert len(alone) > 60
    for mine, beside in zip(alone, beside_another, strict=True):
        assert beside == mine
