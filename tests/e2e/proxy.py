"""What the end-to-end tests ask and read; the processes themselves are those of the benchmarks.

`running_proxy` forks proxies where it can (see `tests.forked`); the testbed's own starts them really.
"""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import Any

import httpx

from rb_litellm.bench.real import testbed
from rb_litellm.bench.real.testbed import (
    BIN,
    LITELLM,
    RB_LITELLM,
    START_S,
    Proxy,
    Servers,
    running_servers,
)
from rb_litellm.demo.stage import clean_environment
from tests.forked.start import start

__all__ = [
    "LITELLM",
    "RB_LITELLM",
    "START_S",
    "Proxy",
    "Servers",
    "chat",
    "routed",
    "running_proxy",
    "running_servers",
    "shared_state",
]

running_proxy = partial(testbed.running_proxy, start=start)
"""As of the testbed, but forked where that is the same."""


def chat(model: str, text: str = "What is a balance?", **fields: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def routed(response: httpx.Response) -> dict[str, str]:
    """Our headers of a response, without their common beginning."""
    prefix = "x-routebalance-"
    return {name[len(prefix) :]: value for name, value in response.headers.items() if name.startswith(prefix)}


def shared_state(redis_url: str, namespace: str = "default") -> dict[str, Any]:
    """What `routebalance state --json` prints."""
    command = [str(BIN / "routebalance"), "state", "--redis", redis_url, "--namespace", namespace, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(clean_environment()), timeout=60)
    assert done.returncode == 0, done.stderr
    state: dict[str, Any] = json.loads(done.stdout)
    return state
