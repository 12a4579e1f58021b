"""`doctor --url` and `top --once` against a proxy that answers as told: trouble is a failure, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from click.testing import CliRunner, Result

from rb_litellm.cli import main
from rb_litellm.telemetry.trouble import deployment_trouble

KEY = "sk-right"


def deployment(id_: str, **fields: Any) -> dict[str, Any]:
    row = {
        "id": id_, "name": id_, "model": "small", "in_flight": 3.0, "slots": 16.0,
        "pending_prefill_tokens": 0, "pending_decode_tokens": 0, "wait_s": 0.0, "ttft_s": 0.2, "tpot_s": 0.01,
        "share": 0.5,
        "answered": 9, "failed": 0, "last_error": None, "drift": {}, "slowdown": 1.0, "cooldown": None,
        **fields,
    }  # fmt: skip
    return {**row, "trouble": deployment_trouble(row)}


DEAD = deployment("gpu-3", failed=9, last_error={"error": "APIConnectionError", "ago_s": 2.0})


def status(
    worker: str = "w1", *deployments: dict[str, Any], mode: str = "redis", peers: int = 0
) -> dict[str, Any]:
    return {
        "version": "0.1.0", "litellm": "1.110.2", "worker": worker, "failures": {}, "predictors": [],
        "strategies": [{"group": "auto", "models": ["small"], "arguments": {"weights": "cost"}}],
        "exchange": {"mode": mode, "peers": peers, "age_s": 0.1}, "decisions_total": 0, "left_out": 0,
        "in_flight": 3.0,
        "tiers": [{"tier": "t", "models": ["small"], "in_flight": 3.0, "deployments": list(deployments)}],
        "recent": {"decisions": 0, "decision_ms": None, "chosen": None, "random": None, "baseline": None},
        "latest": [],
    }  # fmt: skip


@contextmanager
def proxy(statuses: list[dict[str, Any]], **more: Any) -> Iterator[str]:
    """Address of a proxy whose workers answer in turn with these statuses; `more` by path."""
    asked = 0

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            path = self.path.partition("?")[0]
            answers: dict[str, Any] = {"/v1/models": {"data": [{"id": "auto"}]}, **more}
            if path == "/health/liveliness":
                code, answer = 200, "alive"
            elif self.headers.get("Authorization") != f"Bearer {KEY}":
                code, answer = 401, "no"
            elif path == "/routebalance/status":
                code, answer = 200, statuses[asked % len(statuses)]
                asked += 1
            else:
                code, answer = (200, answers[path]) if path in answers else (404, "")
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(command: str, url: str, *options: str, key: str = KEY) -> Result:
    return CliRunner().invoke(main, [command, "--url", url, "--key", key, *options])


def found(url: str, check: str) -> list[tuple[str, str]]:
    findings = json.loads(run("doctor", url, "--json").stdout)["findings"]
    return [(f["level"], f["message"]) for f in findings if f["check"] == check]


def test_a_proxy_that_is_well_passes() -> None:
    with proxy([status("w1", deployment("gpu-1"))]) as url:
        assert run("doctor", url).exit_code == 0
        assert found(url, "deployments") == [("ok", "none of 1 has failed of late")]


def test_a_dead_deployment_is_a_failure() -> None:
    with proxy([status("w1", deployment("gpu-1"), DEAD)]) as url:
        ((level, message),) = found(url, "deployments")
        assert (level, message.startswith("gpu-3: 9 of the last 18 attempts failed")) == ("error", True)
        result = run("doctor", url)
        assert result.exit_code == 1
        assert "gpu-3" in result.stderr


def test_two_workers_without_redis_are_a_failure() -> None:
    with proxy([status("w1", mode="memory"), status("w2", mode="memory")]) as url:
        ((level, message),) = found(url, "exchange")
        assert (level, "2 workers run without Redis" in message) == ("error", True)


def test_a_wrong_or_missing_key_is_a_failure() -> None:
    with proxy([status()]) as url:
        for command in ("doctor", "top"):
            options = ("--once",) if command == "top" else ()
            wrong = run(command, url, *options, key="sk-wrong")
            assert wrong.exit_code == 1
            assert "key" in wrong.stderr
            missing = CliRunner().invoke(main, [command, "--url", url, *options])
            assert missing.exit_code == 1
            assert "key" in missing.stderr


def test_keys_and_teams_with_weights_of_their_own_are_told() -> None:
    weights = {"weights": {"small": {"gpu-1": 1}}}
    keys = {"keys": [{"key_alias": "batch", "router_settings": json.dumps(weights)}, {"key_alias": "plain"}]}
    teams = [{"team_alias": "research", "metadata": {"routebalance": {"weights": "quality"}}}]
    with proxy([status()], **{"/key/list": keys, "/team/list": teams}) as url:
        told = found(url, "policies")
    assert [level for level, _ in told] == ["warn", "warn"]
    assert "1 key (batch) with router_settings.weights" in told[0][1]
    assert "1 team (research) with settings of their own" in told[1][1]


def test_top_shows_trouble_before_the_cluster_and_slots_beside_what_is_in_flight() -> None:
    with proxy([status("w1", deployment("gpu-1"), DEAD)]) as url:
        told = run("top", url, "--once").stdout
    assert told.index("gpu-3: 9 of the last 18 attempts failed") < told.index("deployment")
    assert "3/16" in told
    assert "auto (small): weights cost" in told
    assert [line for line in told.splitlines() if line != line.rstrip()] == []
