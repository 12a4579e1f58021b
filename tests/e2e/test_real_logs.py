"""What a real proxy logs into LiteLLM's own database goes through replay, train and shadow-report as it is.

Needs DATABASE_URL of a PostgreSQL with LiteLLM's tables and Prisma's engine (LiteLLM's image carries one).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from tests.e2e.proxy import Proxy, Servers, chat, running_proxy, running_servers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="DATABASE_URL names no PostgreSQL"),
    pytest.mark.skipif(importlib.util.find_spec("prisma") is None, reason="prisma is not installed"),
]
PASSED_ON = ("DATABASE_URL", "DISABLE_SCHEMA_UPDATE")
CALLS = 200
RATE = 2.5
"""Requests a second."""
GROUPS = ("fast", "slow")
LOGGED_S = 60.0


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter[str]]:
    """Mixed traffic, sent and logged: how many calls of each kind."""
    with running_servers(tmp_path_factory.mktemp("real"), count=2, time_scale=1.0) as servers:
        config = configuration(servers)
        env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        env |= {name: value for name, value in os.environ.items() if name.startswith("PRISMA_")}
        with running_proxy(tmp_path_factory.mktemp("proxy"), config, env=env) as proxy:
            before = logged()
            sent = asyncio.run(send(proxy))
            deadline = time.monotonic() + LOGGED_S
            while logged() - before < 0.97 * CALLS and time.monotonic() < deadline:
                time.sleep(1.0)
            yield sent


def configuration(servers: Servers) -> dict[str, Any]:
    models = [servers.deployment(0, "fast", routebalance={"quality": 0.3})]
    models.append(servers.deployment(1, "slow", routebalance={"quality": 0.9}))
    servers.fault(1, slowdown=2.5)
    embedding = servers.deployment(0, "embed")
    embedding["litellm_params"]["model"] = "hosted_vllm/mock-embedding"
    mocked, failed = servers.deployment(0, "mocked"), servers.deployment(0, "failed")
    mocked["litellm_params"]["mock_response"] = "This is a mocked answer, which took no time. " * 3
    failed["litellm_params"]["api_base"] = "http://127.0.0.1:9/v1"
    return {
        "model_list": [
            *models,
            mocked,
            failed,
            {**embedding, "model_info": {"id": "embed-0", "mode": "embedding"}},
        ],
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": list(GROUPS),
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {"mode": "shadow", "weights": "cost"},
                }
            ],
        },
        "general_settings": {"store_prompts_in_spend_logs": True, "proxy_batch_write_at": 2},
    }


async def send(proxy: Proxy) -> Counter[str]:
    dice = random.Random(0)
    sent: Counter[str] = Counter()
    kinds = (
        ["chat"] * 6 + ["stream"] * 6 + ["messages", "responses", "aborted", "mocked", "failed", "embedding"]
    )
    limits = httpx.Limits(max_connections=200)
    async with proxy.async_client(limits=limits) as client:  # noqa: SIM117  the tasks end before the client
        async with asyncio.TaskGroup() if hasattr(asyncio, "TaskGroup") else _Gathered() as group:
            for number in range(CALLS):
                kind = dice.choice(kinds)
                sent[kind] += 1
                model = dice.choice([*GROUPS, "auto"])
                words = " ".join(
                    dice.choice(("river", "stone", "cloud", "light")) for _ in range(dice.randrange(3, 120))
                )
                group.create_task(one(client, kind, model, f"{number}: {words}", dice.randrange(24, 160)))
                await asyncio.sleep(dice.expovariate(RATE))
    return sent


class _Gathered:
    """TaskGroup, as far as needed, for Python 3.10."""

    async def __aenter__(self) -> _Gathered:
        self.tasks: list[asyncio.Task[Any]] = []
        return self

    def create_task(self, job: Any) -> None:
        self.tasks.append(asyncio.ensure_future(job))

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self.tasks)


async def one(client: httpx.AsyncClient, kind: str, model: str, text: str, tokens: int) -> None:
    body = chat(model, text, max_tokens=tokens)
    if kind == "embedding":
        await client.post("/v1/embeddings", json={"model": "embed", "input": text})
    elif kind == "messages":
        await client.post("/v1/messages", json=body)
    elif kind == "responses":
        await client.post("/v1/responses", json={"model": model, "input": text, "max_output_tokens": tokens})
    elif kind in ("mocked", "failed"):
        await client.post("/v1/chat/completions", json={**body, "model": kind})
    elif kind in ("stream", "aborted"):
        async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
            lines = 0
            async for line in answer.aiter_lines():
                lines += line.startswith("data:")
                if kind == "aborted" and lines > 8:
                    break
    else:
        await client.post("/v1/chat/completions", json=body)


def logged() -> int:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute('SELECT count(*) FROM "LiteLLM_SpendLogs"').fetchone()
        assert row is not None
        return int(row[0])


def run(command: str, sent: Counter[str], *args: str) -> Any:
    # What earlier runs have left in the database is older.
    rows = sent.total() - sent["embedding"] - sent["failed"]
    options = ["--from-spend-logs", os.environ["DATABASE_URL"], "--max-rows", str(rows), "--json", "--quiet"]
    result = CliRunner().invoke(main, [command, *options, *args])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_replay_of_mixed_traffic_repeats_its_times(traffic: Counter[str]) -> None:
    told = run("replay", traffic, "--policy", "as-logged", "--policy", "routebalance:cost")

    checks = {one["deployment"]: one for one in told["fit"]}
    assert {"fast-0", "slow-1"} <= set(checks)
    for name in ("all", "fast-0", "slow-1"):
        assert checks[name]["median_error"] <= 0.15, name
    used = told["log"]["used"]
    assert used["stream"] > 20
    assert used["chat"] > 20
    assert {"messages", "responses"} <= set(used)
    assert any(one["kind"] == "embedding" for one in told["log"]["left_out"])
    assert any(one["reason"] == "failed" for one in told["log"]["left_out"])
    assert [one["deployment"] for one in told["not_simulated"]] == ["mocked-0"]


def test_training_learns_lengths_and_speeds(traffic: Counter[str], tmp_path: Path) -> None:
    told = run("train", traffic, "--out", str(tmp_path / "model"))
    assert {"fast", "slow"} <= set(told["models"])
    speeds = told["log"]["latency"]
    assert speeds["slow-1"]["tpot_ms"] > 1.5 * speeds["fast-0"]["tpot_ms"]


def test_what_shadow_mode_would_have_chosen_is_told(traffic: Counter[str]) -> None:
    told = run("shadow-report", traffic)
    assert told["decisions"] > 20
    assert 0.0 < told["moved_share"] < 1.0
