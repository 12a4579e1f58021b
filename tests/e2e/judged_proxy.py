"""Proxies before `judged_models`, for tests of requests that are answered more than once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.judged_models import Models
from tests.e2e.proxy import Proxy, chat, running_proxy
from tests.e2e.upstream import serving_chats

JUDGE = {"model": "judge", "accepts_right": 0.95, "accepts_wrong": 0.1, "timeout_s": 2.0}
"""Settings of a judge that is said to be good."""
PRICED = {
    "predictor": "none",
    "objective": "priced",
    "prices": {"usd_per_quality": 0.02, "usd_per_second": 0.0},
    "exploration": {"method": "none"},
}
"""Quality is dear and time costs nothing: what is chosen hangs on what the models are stated to be, and on
nothing that a test's machine does."""
IN_CACHE = {"cache": True, "cache_params": {"type": "local"}}
"""`litellm_settings` with LiteLLM's cache on."""


@contextmanager
def serving_models() -> Iterator[Models]:
    """The models, while they are served."""
    told = Models()
    with serving_chats(told.answer) as told.url:
        yield told


def configuration(model_list: list[dict[str, Any]], **args: Any) -> dict[str, Any]:
    """`auto` over small and large, `PRICED`, with these arguments."""
    return {
        "model_list": model_list,
        "general_settings": {"custom_auth": "keys.authenticate", "cancel_on_disconnect": True},
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {**PRICED, **args},
                }
            ],
            "num_retries": 0,
            "disable_cooldowns": True,
        },
    }


@contextmanager
def started(folder: Path, config: dict[str, Any]) -> Iterator[Proxy]:
    """A proxy of this configuration that takes the keys of `judged_models.key`."""
    shutil.copy(Path(__file__).with_name("keys.py"), folder / "keys.py")
    with running_proxy(folder, config) as proxy:
        yield proxy


def leave(proxy: Proxy, models: Models, after_s: float) -> None:
    """A client that does not wait for its answer; returns when a model has noticed, or after 2 s."""
    with proxy.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=chat("auto"), timeout=after_s)
    until = time.monotonic() + 2.0
    while not models.left and time.monotonic() < until:
        time.sleep(0.05)
