"""A closed loop: each client sends its next request when its last one is answered. And its upstream."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import httpx

from rb_litellm.bench.real.testbed import START_S
from rb_litellm.demo.processes import Child, free_port
from rb_litellm.demo.stage import clean_environment

MODEL = "bench"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "What is a balance, and who needs one?"}]}


def upstream(stack: ExitStack, folder: Path) -> str:
    """Start an upstream that answers at once; its address, up to and with `/v1`."""
    port = free_port()
    command = [sys.executable, "-m", "rb_litellm.bench.real.instant", str(port)]
    child = stack.enter_context(Child("upstream", command, folder / "upstream.log", clean_environment()))
    child.wait_until(lambda: _up(port), START_S)
    return f"http://127.0.0.1:{port}/v1"


def _up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


async def closed_loop(
    url: str, headers: Mapping[str, str], clients: int, seconds: float | None, requests: int | None
) -> tuple[list[float], float]:
    """Send for so long, or so many requests; latencies in s, and s from the first request to the last answer.

    Raises:
        RuntimeError: a request failed.
    """
    taken: list[float] = []
    began = time.perf_counter()
    until = began + (seconds if seconds is not None else 1e9)

    async def client(session: aiohttp.ClientSession) -> None:
        while time.perf_counter() < until and (requests is None or len(taken) < requests):
            sent = time.perf_counter()
            async with session.post("/v1/chat/completions", json=BODY) as response:
                body = await response.read()
                if response.status != 200:
                    raise RuntimeError(f"{response.status}: {body[:500]!r}")
            taken.append(time.perf_counter() - sent)

    # New connections in every round: the workers of a proxy share them out anew.
    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return taken, time.perf_counter() - began
