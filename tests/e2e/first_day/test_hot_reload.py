"""Settings that change while the proxy runs: in every worker within 5 s, whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy

pytestmark = pytest.mark.slow
WITHIN_S = 5.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def proxy(servers: Servers, folder: Path) -> Iterator[Proxy]:
    def deployment(number: int, group: str, quality: float, usd: float) -> dict[str, Any]:
        entry = servers.deployment(number, group, routebalance={"quality": quality})
        entry["litellm_params"] |= {"input_cost_per_token": usd, "output_cost_per_token": usd}
        return entry

    config = {
        "model_list": [
            deployment(0, "both", 0.3, 1e-7)
            | {"model_info": {"id": "cheap", "routebalance": {"quality": 0.3}}},
            deployment(1, "both", 0.9, 1e-6)
            | {"model_info": {"id": "good", "routebalance": {"quality": 0.9}}},
            deployment(2, "small", 0.3, 1e-7),
            deployment(3, "large", 0.9, 1e-6),
        ],
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {"weights": "cost", "redis": {"enabled": False}},
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {"weights": "cost"},
                }
            ],
        },
    }
    with running_proxy(folder, config, workers=2) as running:
        yield running


def change(folder: Path, weights: str, of_group: str | None = None) -> None:
    file = folder / "config.yaml"
    config = json.loads(file.read_text())
    config["router_settings"]["routing_strategy_args"]["weights"] = weights
    config["router_settings"]["routing_groups"][0]["routing_strategy_args"] = {"weights": of_group or weights}
    file.write_text(json.dumps(config))


def answers(proxy: Proxy, model: str, count: int = 16) -> set[str]:
    """Who answers, over connections of their own, so that both workers are asked."""
    seen = set()
    for _ in range(count):
        with proxy.client() as client:
            response = client.post("/v1/chat/completions", json=chat(model, max_tokens=2))
        assert response.status_code == 200, response.text
        seen.add(routed(response)["deployment"])
    return seen


def test_a_changed_file_is_in_force_in_every_worker(proxy: Proxy, folder: Path) -> None:
    assert (answers(proxy, "both"), answers(proxy, "auto")) == ({"cheap"}, {"small-2"})
    # A worker takes note of the file when it first looks.
    time.sleep(WITHIN_S)
    change(folder, "quality")
    time.sleep(WITHIN_S)
    assert (answers(proxy, "both"), answers(proxy, "auto")) == ({"good"}, {"large-3"})


def test_wrong_settings_are_refused_whole_with_the_reason(proxy: Proxy, folder: Path) -> None:
    change(folder, "cost", of_group="best")
    time.sleep(WITHIN_S)
    assert (answers(proxy, "both"), answers(proxy, "auto")) == ({"good"}, {"large-3"})
    assert "unknown preset 'best'" in proxy.child.output()
    change(folder, "cost")
    time.sleep(WITHIN_S)
    assert (answers(proxy, "both"), answers(proxy, "auto")) == ({"cheap"}, {"small-2"})
