"""What a real proxy logs of mixed traffic is repeated by a replay, on simulated servers of two speeds.

The rows are those that LiteLLM writes into its database, taken from where it makes them. Traffic is light,
and servers are slow, so that what a busy machine adds to each answer is little beside it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from tests.e2e.mixed_traffic import GROUPS, configuration, send
from tests.e2e.proxy import running_proxy, running_servers

pytestmark = pytest.mark.slow
CALLS, RATE = 100, 1.5
SLOWDOWN = {0: 2.0, 1: 5.0}
MOST_ERROR = 0.15
LOGGED_S = 30.0


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copy(Path(__file__).parents[1] / "log_rows.py", folder / "log_rows.py")
    path = folder / "rows.jsonl"
    with running_servers(tmp_path_factory.mktemp("servers"), count=2, time_scale=1.0) as servers:
        config = configuration(servers)
        config["litellm_settings"] = {"callbacks": ["log_rows.rows"]}
        for server, slowdown in SLOWDOWN.items():
            servers.fault(server, slowdown=slowdown)
        with running_proxy(folder, config, env={"LOG_ROWS": str(path)}) as proxy:
            sent = asyncio.run(send(proxy, CALLS, RATE))
            expected = CALLS - sent["failed"]
            deadline = time.monotonic() + LOGGED_S
            while rows_of(path) < 0.97 * expected and time.monotonic() < deadline:
                time.sleep(0.5)
    return path


def rows_of(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def run(command: str, log: Path, *args: str) -> Any:
    result = CliRunner().invoke(main, [command, "--from-spend-logs", str(log), "--json", "--quiet", *args])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_replay_repeats_the_times_that_were_logged(log: Path) -> None:
    told = run("replay", log, "--policy", "as-logged")
    errors = {one["deployment"]: one["median_error"] for one in told["fit"]}
    print(errors)
    assert {"all", "fast-0", "slow-1"} <= set(errors)
    assert max(errors.values()) <= MOST_ERROR, errors
    assert [one["deployment"] for one in told["not_simulated"]] == ["mocked-0"]
    left_out = {(one["reason"], one["kind"]) for one in told["log"]["left_out"]}
    assert ("of another kind", "embedding") in left_out
    assert set(told["log"]["used"]) >= {"chat", "stream", "messages"}


def test_shadow_report_finds_the_decisions_in_it(log: Path) -> None:
    assert run("shadow-report", log)["decisions"] > 10


def test_training_learns_how_the_speeds_differ(log: Path, tmp_path: Path) -> None:
    told = run("train", log, "--out", str(tmp_path / "model"))
    assert set(GROUPS) <= set(told["models"])
    speeds = told["log"]["latency"]
    ratio = speeds["slow-1"]["tpot_ms"] / speeds["fast-0"]["tpot_ms"]
    assert ratio == pytest.approx(SLOWDOWN[1] / SLOWDOWN[0], rel=0.25)
