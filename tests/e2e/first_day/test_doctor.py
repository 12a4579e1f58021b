"""`routebalance doctor --url` on real proxies: one with two workers as it should be, one without us."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.demo.processes import free_port
from rb_litellm.demo.stage import clean_environment
from tests.e2e.proxy import BIN, LITELLM, Servers, chat, running_proxy

pytestmark = pytest.mark.slow


def examine(*options: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Exit status, and (level, message) of each check."""
    command = [str(BIN / "routebalance"), "doctor", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(clean_environment()), timeout=120)
    assert done.stdout, done.stderr
    checks: dict[str, list[tuple[str, str]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        checks.setdefault(finding["check"], []).append((finding["level"], finding["message"]))
    return done.returncode, checks


def config(redis: RedisServer, servers: Servers, strategy: str) -> dict[str, Any]:
    group = {"group_name": "auto", "models": ["small", "large"], "routing_strategy": strategy}
    if strategy == "routebalance":
        group["routing_strategy_args"] = {"redis": {"url": redis.url, "namespace": "doctor"}}
    return {
        "model_list": [servers.deployment(0, "small"), servers.deployment(1, "large")],
        "router_settings": {"routing_groups": [group]},
    }


def test_every_worker_of_a_good_proxy_is_seen(redis: RedisServer, servers: Servers, tmp_path: Path) -> None:
    with running_proxy(tmp_path, config(redis, servers, "routebalance"), workers=2) as proxy:
        file = str(tmp_path / "config.yaml")

        def two_workers() -> bool:
            return "2 workers alive" in str(examine("--config", file)[1]["fleet"])

        proxy.child.wait_until(two_workers, 60.0)
        status, checks = examine("--config", file, "--url", proxy.url, "--key", proxy.key, "--strict")
        assert checks["workers"] == [("ok", "RouteBalance is registered in every worker (2)")]
        assert checks["drift"] == [("ok", "the proxy runs the groups and settings that the file has")]
        assert ("ok", "the key may call auto") in checks["access"]
        assert status == 0, checks

        _, refused = examine("--url", proxy.url, "--key", "sk-wrong")
        assert refused["workers"][0][0] == "error"

        other = tmp_path / "other.yaml"
        weighed = json.loads(Path(file).read_text())
        weighed["router_settings"]["routing_groups"][0]["routing_strategy_args"]["weights"] = "cost"
        other.write_text(json.dumps(weighed))
        ((level, message),) = examine("--config", str(other), "--url", proxy.url, "--key", proxy.key)[1][
            "drift"
        ]
        assert (level, "weights of auto" in message) == ("warn", True)
        other.write_text(Path(file).read_text().replace('"group_name": "auto"', '"group_name": "any"'))
        assert (
            examine("--config", str(other), "--url", proxy.url, "--key", proxy.key)[1]["drift"][0][0]
            == "warn"
        )


def test_a_proxy_without_us_gets_advice_how_to_start(
    redis: RedisServer, servers: Servers, tmp_path: Path
) -> None:
    with running_proxy(tmp_path, config(redis, servers, "simple-shuffle"), command=LITELLM) as proxy:
        status, checks = examine("--url", proxy.url, "--key", proxy.key)
    assert status == 1
    assert checks["workers"][0][0] == "error"
    assert "has not loaded RouteBalance" in checks["workers"][0][1]


def test_a_dead_server_under_load_and_workers_without_redis_are_no_all_clear(
    servers: Servers, tmp_path: Path
) -> None:
    dead = servers.deployment(1, "small")
    dead["litellm_params"]["api_base"] = f"http://127.0.0.1:{free_port()}/v1"
    group = {"group_name": "auto", "models": ["small"], "routing_strategy": "routebalance"}
    config = {
        "model_list": [servers.deployment(0, "small"), dead],
        "router_settings": {"routing_groups": [group], "num_retries": 2},
    }
    with running_proxy(tmp_path, config, workers=2) as proxy:
        for _ in range(40):
            with proxy.client() as client:  # a connection of its own, so that both workers get some
                client.post("/v1/chat/completions", json=chat("auto", max_tokens=4))
        status, checks = examine(
            "--config", str(tmp_path / "config.yaml"), "--url", proxy.url, "--key", proxy.key
        )
    assert status == 1
    ((level, message),) = checks["deployments"]
    assert (level, "failed" in message, "small-1" in message) == ("error", True, True)
    ((level, message),) = checks["engines"]
    assert (level, "nobody listens" in message) == ("error", True)
    ((level, message),) = checks["exchange"]
    assert (level, "2 workers run without Redis" in message) == ("error", True)
