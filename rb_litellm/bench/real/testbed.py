"""Real processes to measure and test on: the proxy by any of its command lines, and mock vLLM servers."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rb_litellm.demo.processes import Child, free_port
from rb_litellm.demo.stage import clean_environment

START_S = 240.0
"""Two workers import LiteLLM at the same time as whatever else a machine has to do."""
BIN = Path(sys.executable).parent
RB_LITELLM = (str(BIN / "rb-litellm"),)
LITELLM = (str(BIN / "litellm"),)
PATIENT = ("--timeout_worker_healthcheck", str(round(START_S)))
"""A worker that imports LiteLLM on a busy machine answers its supervisor later than after the usual 5 s."""


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    url: str
    key: str
    child: Child

    def client(self, **kwargs: Any) -> httpx.Client:
        """An HTTP client with the master key."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=120.0, **kwargs)

    def async_client(self, **kwargs: Any) -> httpx.AsyncClient:
        """An asynchronous HTTP client with the master key."""
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=120.0, **kwargs)

    @property
    def headers(self) -> dict[str, str]:
        """The master key as a header."""
        return {"Authorization": f"Bearer {self.key}"}


@contextmanager
def running_proxy(
    folder: Path,
    config: Mapping[str, Any],
    *,
    command: Sequence[str] = RB_LITELLM,
    arguments: Sequence[str] = (),
    workers: int = 1,
    env: Mapping[str, str] = {},
    start: Callable[[str, Sequence[str], Path, Mapping[str, str]], Child] = Child,
) -> Iterator[Proxy]:
    """Start `command --config ...` by `start`, wait until it serves, and end it with all its workers.

    Raises:
        ChildFailed: it does not start; carries what it printed last.
    """
    port = free_port()
    key = f"sk-{secrets.token_hex(24)}"
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "config.yaml"
    # JSON is YAML, and needs no further library.
    config_file.write_text(json.dumps(dict(config), indent=1))
    listen = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", str(workers), *PATIENT)
    environment = {**clean_environment(), "LITELLM_MASTER_KEY": key, **env}
    with start(
        "proxy",
        [*command, "--config", str(config_file), *listen, *arguments],
        folder / "proxy.log",
        environment,
    ) as child:
        child.wait_until(lambda: _answers(port), START_S)
        yield Proxy(f"http://127.0.0.1:{port}", key, child)


@dataclass(frozen=True)
class Servers:
    """Running mock vLLM servers, all of one model."""

    urls: tuple[str, ...]

    def deployment(self, number: int, group: str, **model_info: Any) -> dict[str, Any]:
        """An entry of `model_list` for the server of that number."""
        return {
            "model_name": group,
            "litellm_params": {
                "model": "hosted_vllm/mock",
                "api_base": f"{self.urls[number]}/v1",
                "api_key": "none",
                "input_cost_per_token": 1e-7,
                "output_cost_per_token": 1e-7,
            },
            "model_info": {"id": f"{group}-{number}", "routebalance": {"quality": 0.5}, **model_info},
        }

    def fault(self, number: int, **faults: Any) -> None:
        """Have a server misbehave, or with no arguments behave again."""
        httpx.post(f"{self.urls[number]}/admin/faults", json=faults).raise_for_status()

    def last(self, number: int) -> dict[str, Any]:
        """Headers and body of the last completion that a server was asked for."""
        last: dict[str, Any] = httpx.get(f"{self.urls[number]}/admin/last").json()
        return last

    def served(self, number: int) -> dict[str, int]:
        """What a server says of itself."""
        stats: dict[str, int] = httpx.get(f"{self.urls[number]}/admin/stats").json()
        return stats


@contextmanager
def running_servers(
    folder: Path, count: int, time_scale: float = 10.0, slots: int | None = None, prefix_cache: bool = False
) -> Iterator[Servers]:
    """Start `count` mock servers in one process, each of `slots` or as many as its tier has.

    With `prefix_cache`, they keep the beginnings of prompts.
    """
    ports = [free_port() for _ in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    places = [argument for port in ports for argument in ("--port", str(port))]
    command = [sys.executable, "-m", "rb_litellm.demo.backend", *places]
    command += ["--model", "mock", "--tier", "paper-3b", "--time-scale", str(time_scale)]
    command += ["--slots", str(slots)] if slots else []
    command += ["--prefix-cache"] if prefix_cache else []
    with Child("mock servers", command, folder / "servers.log", clean_environment()) as child:
        child.wait_until(lambda: '"servers"' in child.output(), START_S)
        yield Servers(tuple(f"http://127.0.0.1:{port}" for port in ports))


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False
