"""One proxy that several teams share; its keys say themselves what LiteLLM's database would say of them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, chat, running_proxy
from tests.litellm_contract.routers import deployment

QUALITY = {"weights": "quality"}
EVERYTHING = {
    "targets": {"cost_usd_per_1k": 0.02, "e2e_p95_s": 20.0},
    "admission": {"max_wait_s": 30.0},
    "hold": {"max_wait_s": 0.5, "max_requests": 20},
    "agents": {},
    "usd_per_day": 0.5,
    "requests_per_minute": 200,
}
"""Every feature of a group that is off by default."""
EFFORTS = {"low": {"quality": 0.4, "output_tokens": 50}, "high": {"quality": 0.6, "output_tokens": 500}}
METRICS_KEY = "scrape-" + "0123456789abcdef" * 2
KEYS = Path(__file__).parents[1] / "e2e" / "keys.py"


def key(
    *models: str, of_key: dict[str, Any] | None = None, of_team: dict[str, Any] | None = None, **record: Any
) -> str:
    """A key for these models (none: all), with our part of its and its team's metadata."""
    told = {
        "models": list(models),
        "key": {"routebalance": of_key} if of_key else {},
        "team": {"routebalance": of_team} if of_team else {},
        "record": record,
    }
    return "sk-" + base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def ask(
    proxy: Proxy,
    key: str,
    model: str,
    path: str = "/v1/chat/completions",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    """A request with a key."""
    return send(proxy, key, path, chat(model, **fields), headers)


def send(
    proxy: Proxy, key: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """A body, if there is one, to a path; else the path is read."""
    own = {"Authorization": f"Bearer {key}", **(headers or {})}
    if body is None:
        return httpx.get(f"{proxy.url}{path}", headers=own, timeout=60.0)
    if isinstance(body, (bytes, str)):
        own["Content-Type"] = "application/json"
        return httpx.post(f"{proxy.url}{path}", headers=own, content=body, timeout=60.0)
    return httpx.post(f"{proxy.url}{path}", headers=own, json=body, timeout=60.0)


def member(
    group: str, quality: float, efforts: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    """A model group of one deployment that answers without a network."""
    # With a queue and a cache that can be seen, as a server of one's own has.
    known = {"quality": quality, "hosted": False, "tpot_ms": 20.0, "tier": group}
    info = {"routebalance": {**known, **({"efforts": efforts} if efforts else {})}}
    if efforts:
        params["allowed_openai_params"] = ["reasoning_effort"]
    return deployment(group, quality, group, info, output_cost_per_token=quality * 1e-5, **params)


def routing_group(name: str, *models: str, **args: Any) -> dict[str, Any]:
    """A routing group of ours."""
    return {
        "group_name": name,
        "models": list(models),
        "routing_strategy": "routebalance",
        "routing_strategy_args": {**QUALITY, **args},
    }


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy of this folder's tests."""
    with shared_proxy(tmp_path_factory.mktemp("security")) as running:
        yield running


@contextmanager
def shared_proxy(
    folder: Path, everywhere: dict[str, Any] | None = None, efforts: dict[str, Any] | None = None
) -> Iterator[Proxy]:
    """A proxy with groups of all kinds of settings, two members each.

    `everywhere` is set for all groups that say nothing else of it, and all members have these levels.
    """
    shutil.copy(KEYS, folder / "keys.py")
    groups = ("strict", "lenient", "capped", "chat", "shared")
    config: dict[str, Any] = {
        "model_list": [
            *(member(f"{group}-large", 0.9, efforts) for group in groups),
            *(member(f"{group}-small", 0.3, efforts) for group in groups),
            deployment("odd-1", 0.5, "odd\x07name\x1b[31m "),
            member("broken", 0.5, mock_response="litellm.InternalServerError"),
        ],
        "router_settings": {
            "routing_groups": [
                routing_group("strict", "strict-large", "strict-small", member_access="key"),
                routing_group(
                    "lenient",
                    "lenient-large",
                    "lenient-small",
                    overrides={"refused": "ignore"},
                    feedback={"path": str(folder / "feedback.jsonl"), "max_bytes": 20_000},
                ),
                routing_group(
                    "capped",
                    "capped-large",
                    "capped-small",
                    max_cost_usd=0.05,
                    admission={"max_wait_s": 30.0, "by_priority": [{"priority": 5, "max_wait_s": 10.0}]},
                    overrides={"refused": "reject", "caps": {"max_cost_usd": {"max": 0.05}}},
                ),
                routing_group("odd", "odd\x07name\x1b[31m "),
                # What is predicted of a prompt is its own; two prompts are to differ by the memory alone.
                routing_group("chat", "chat-large", "chat-small", affinity={}, predictor="none"),
                routing_group(
                    "shared", "shared-large", "shared-small", affinity={"across": "all"}, predictor="none"
                ),
            ],
            "num_retries": 0,
        },
        "general_settings": {"custom_auth": "keys.authenticate"},
    }
    for group in config["router_settings"]["routing_groups"]:
        group["routing_strategy_args"] = {**(everywhere or {}), **group["routing_strategy_args"]}
    with running_proxy(folder, config, env={"ROUTEBALANCE_METRICS_KEY": METRICS_KEY}) as running:
        yield running
