"""What a real proxy logs into LiteLLM's own database goes through replay, train and shadow-report as it is.

Needs DATABASE_URL of a PostgreSQL with LiteLLM's tables and Prisma's engine (LiteLLM's image carries one).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from tests.e2e.mixed_traffic import configuration, send
from tests.e2e.proxy import running_proxy, running_servers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="DATABASE_URL names no PostgreSQL"),
    pytest.mark.skipif(importlib.util.find_spec("prisma") is None, reason="prisma is not installed"),
]
PASSED_ON = ("DATABASE_URL", "DISABLE_SCHEMA_UPDATE")
CALLS = 200
RATE = 2.5
"""Requests a second."""
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
            sent = asyncio.run(send(proxy, CALLS, RATE))
            deadline = time.monotonic() + LOGGED_S
            while logged() - before < 0.97 * CALLS and time.monotonic() < deadline:
                time.sleep(1.0)
            yield sent


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
