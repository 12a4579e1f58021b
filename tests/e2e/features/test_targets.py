"""Targets through a real proxy of two workers: a key's mean cost lies where they set it, between models."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy

pytestmark = pytest.mark.slow
REQUESTS, SETTLED = 500, 200


@pytest.fixture(scope="module")
def proxy(redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("targets")
    shutil.copy(Path(__file__).parents[1] / "keys.py", folder / "keys.py")
    models = []
    for number, (group, quality, usd) in enumerate((("small", 0.3, 1e-7), ("large", 0.9, 1e-6))):
        entry = servers.deployment(
            number, group, routebalance={"quality": quality, "tpot_ms": 1.2, "ttft_ms": 5.0}
        )
        entry["litellm_params"] |= {"input_cost_per_token": usd, "output_cost_per_token": usd}
        models.append(entry)
    config = {
        "model_list": models,
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "predictor": "none",
                        "redis": {"url": redis.url, "namespace": "targets"},
                        "overrides": {"caps": {"targets.cost_usd_per_1k": {"max": 1.0}}},
                    },
                }
            ],
        },
        "general_settings": {"custom_auth": "keys.authenticate"},
    }
    with running_proxy(folder, config, workers=2) as running:
        yield running


def key(**controls: Any) -> dict[str, str]:
    text = base64.urlsafe_b64encode(json.dumps({"key": {"routebalance": controls}}).encode()).decode()
    return {"Authorization": f"Bearer sk-{text}"}


def ask(client: httpx.Client, headers: dict[str, str], **fields: Any) -> httpx.Response:
    answer = client.post("/v1/chat/completions", json=chat("auto", max_tokens=5, **fields), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def cost(answer: httpx.Response) -> float:
    return float(answer.headers["x-litellm-response-cost"])


def test_a_keys_mean_cost_is_where_its_target_is(proxy: Proxy) -> None:
    with proxy.client() as client:
        small = cost(ask(client, key(weights="0,0,1")))
        large = cost(ask(client, key(weights="1,0,0")))
        assert small < large
        bound = 1000.0 * (small + large) / 2.0
        steered = key(targets={"cost_usd_per_1k": bound})
        answers = [ask(client, steered) for _ in range(REQUESTS)]
        last = routed(answers[-1])
        assert "cost_usd_per_1k=" in last["targets"]
        mean = 1000.0 * sum(map(cost, answers[SETTLED:])) / (REQUESTS - SETTLED)
        assert mean == pytest.approx(bound, rel=0.03)
        assert {routed(answer)["model"] for answer in answers[SETTLED:]} == {"small", "large"}
        explained = client.post("/routebalance/explain", json=chat("auto"), headers=steered).json()
        assert explained["objective"] == "targets"
        assert explained["targets"]["cost_usd_per_1k"]["bound"] == pytest.approx(bound)
        series = client.get("/routebalance/metrics").text
        assert 'routebalance_target{figure="bound",owner="key ' in series


def test_what_nobody_can_reach_is_told_with_what_can_be(proxy: Proxy) -> None:
    with proxy.client() as client:
        wanting = key(targets={"quality_min": 0.99})
        told = [routed(ask(client, wanting))["targets"] for _ in range(150)][-1]
    assert told.endswith("infeasible, at best 0.9")


def test_the_operators_bound_and_the_level_of_a_request_hold(proxy: Proxy) -> None:
    with proxy.client() as client:
        assert "targets" not in routed(ask(client, key(targets={"cost_usd_per_1k": 2.0})))
        body = chat("auto", routebalance={"targets": {"cost_usd_per_1k": 0.1}})
        refused = client.post("/v1/chat/completions", json=body, headers=key(weights="cost"))
        assert refused.status_code == 403
        assert "its key or team may" in refused.json()["error"]["message"]


def test_as_a_days_dollars_run_out_a_key_lands_softly_in_all_workers(proxy: Proxy) -> None:
    with proxy.client() as client:
        large = cost(ask(client, key(weights="1,0,0")))
        # A name of its own, so that a test that runs again finds nothing spent.
        wealthy = key(weights="1,0,0", usd_per_day=30.0 * large, priority=secrets.randbelow(10**6))
        models, shifts = [], []
        for number in range(120):
            told = routed(ask(client, wealthy))
            models.append(told["model"])
            shifts.append(float(told["day"].rpartition(" ")[2]))
            if number == 60:
                time.sleep(2.5)  # Workers tell each other once a second.
        assert models[:10] == ["large"] * 10
        assert shifts[0] == 0.0
        assert models[-40:] == ["small"] * 40
        assert min(shifts[-40:]) == 1.0


def test_as_a_minutes_requests_run_out_a_key_lands_softly_in_all_workers(proxy: Proxy) -> None:
    with proxy.client() as client:
        wanting = key(weights="1,0,0", requests_per_minute=60, priority=secrets.randbelow(10**6))
        models, shifts = [], []
        for number in range(100):
            told = routed(ask(client, wanting))
            models.append(told["model"])
            shifts.append(float(told["minute"].rpartition(" ")[2]))
            if number in (40, 70):
                time.sleep(2.5)  # Workers tell each other once a second.
        assert models[:10] == ["large"] * 10
        assert shifts[0] == 0.0
        assert models[-20:] == ["small"] * 20
        assert min(shifts[-20:]) == 1.0
        body = chat("auto", routebalance={"requests_per_minute": 1000})
        refused = client.post("/v1/chat/completions", json=body, headers=key(weights="cost"))
        assert refused.status_code == 403
