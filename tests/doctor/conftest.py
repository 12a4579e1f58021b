"""Configurations in real files, and a real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from rb_litellm.bench.real.redis_server import RedisServer

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class _Engine(BaseHTTPRequestHandler):
    """Answers below /v1 as vLLM does, and beside it as llama-server does."""

    def do_GET(self) -> None:
        answers = {"/v1/models": {"data": []}, "/props": {"total_slots": 4}}
        found = answers.get(self.path)
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def slots() -> Iterator[str]:
    """Address, without /v1, of a server that tells its 4 slots."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Address of a server that tells nothing of slots."""

    class Silent(_Engine):
        def do_GET(self) -> None:
            if self.path == "/props":
                self.path = "/none"
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.fixture(autouse=True)
def no_redis_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"):
        monkeypatch.delenv(name, raising=False)


def model(group: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of `model_list` whose price and quality are known, but for what `more` says."""
    params = {"model": name or f"hosted_vllm/{group}", "api_base": "http://gpu:8000/v1"}
    prices = {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7}
    return {
        "model_name": group,
        "litellm_params": {**params, **prices, **more.pop("params", {})},
        "model_info": {"routebalance": {"quality": 0.5}, **more},
    }


def auto(*models: str, **fields: Any) -> dict[str, Any]:
    """Router settings with one routing group of ours."""
    group = {"group_name": "auto", "models": list(models), "routing_strategy": "routebalance", **fields}
    return {"routing_groups": [group]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a configuration of these sections and gives its path."""

    def to_file(name: str = "config.yaml", **sections: Any) -> Path:
        file = tmp_path / name
        file.write_text(yaml.safe_dump(sections, sort_keys=False))
        return file

    return to_file
