"""Real proxy processes for tests: LiteLLM's own command lines on a configuration written for the test."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

START_S = 120.0
BIN = Path(sys.executable).parent


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Proxy:
    """A running proxy."""

    url: str
    key: str
    log_file: Path
    process: subprocess.Popen[bytes]

    def client(self, **kwargs: Any) -> httpx.Client:
        """An HTTP client with the master key."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60.0, **kwargs
        )

    def async_client(self, **kwargs: Any) -> httpx.AsyncClient:
        """An asynchronous HTTP client with the master key."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60.0, **kwargs
        )

    def log(self) -> str:
        """What the proxy has printed so far."""
        return self.log_file.read_text(errors="replace")


class ProxyDidNotStart(Exception):
    """Carries what the proxy printed."""


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """The environment of this process without anything that would steer LiteLLM, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REDIS_", "LITELLM_", "DATABASE_", "OPENAI_"))
    }
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **extra}


@contextmanager
def running_proxy(
    folder: Path,
    config: Mapping[str, Any],
    *,
    command: Sequence[str] = ("rb-litellm",),
    arguments: Sequence[str] = (),
    env: Mapping[str, str] = {},
) -> Iterator[Proxy]:
    """Start `command --config ...` and stop it at the end.

    Raises:
        ProxyDidNotStart: it ended or did not answer in time.
    """
    port = free_port()
    key = f"sk-{secrets.token_hex(24)}"
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(dict(config)))
    log_file = folder / "proxy.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:], "--config", str(config_file), "--host", "127.0.0.1",
             "--port", str(port), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment({"LITELLM_MASTER_KEY": key, **env}),
            start_new_session=True,
        )  # fmt: skip
    proxy = Proxy(f"http://127.0.0.1:{port}", key, log_file, process)
    try:
        _wait(proxy)
        yield proxy
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything it started."""
    for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    # Workers of a dead parent would outlive it in their process group.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _wait(proxy: Proxy) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if proxy.process.poll() is not None:
            raise ProxyDidNotStart(proxy.log()[-6000:])
        try:
            if httpx.get(f"{proxy.url}/health/liveliness", timeout=2.0).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise ProxyDidNotStart(f"no answer within {START_S:g} s; it printed:\n{proxy.log()[-6000:]}")
