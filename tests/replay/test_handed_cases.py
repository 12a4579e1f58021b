"""The cases that were handed with the project, where they are at hand: every command tells the same of all of
them."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "spend_logs.py"
if not CASES.is_file():  # A worktree stands one folder deeper.
    CASES = CASES.parents[3] / "shared" / "cases" / "spend_logs.py"
pytestmark = pytest.mark.skipif(not CASES.is_file(), reason="the handed cases are not there")
TRUE = {"q7-1": (60.0, 20.0), "l70-1": (200.0, 50.0)}
"""TTFT and time per token, in ms."""
FEW = ("one",)
"""Files with too few calls to be fitted."""
PRICELESS = ("null_all",)
"""Files that say nothing of money."""
PROMPTLESS = ("null_all", "redacted")
"""Files without a prompt to learn from: training says so, and which setting stores them."""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("cases")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runpy.run_path(str(CASES))
    return sorted((folder / "logs").iterdir())


def run(command: str, log: Path, *args: str) -> Any:
    return CliRunner().invoke(main, [command, "--from-spend-logs", str(log), "--json", "--quiet", *args])


def test_replay_repeats_every_log(logs: list[Path]) -> None:
    for log in logs:
        result = run("replay", log, "--policy", "as-logged")
        assert result.exit_code == 0, (log.name, result.output)
        told = json.loads(result.stdout)
        assert told["fit"][0]["median_error"] < 0.05, log.name
        for one in told["fit"][1:]:
            true_s = TRUE[one["deployment"]]
            tokens = 150 if one["deployment"] == "q7-1" else 200
            expected = (true_s[0] + tokens * true_s[1]) / 1e3
            assert one["simulated_mean_e2e_s"] == pytest.approx(expected, rel=0.05), log.name
        left_out = sum(one["rows"] for one in told["log"]["left_out"])
        assert told["log"]["rows"] == told["source_calls"] + left_out, log.name


def test_training_finds_the_same_speeds_in_every_log(logs: list[Path], tmp_path: Path) -> None:
    for log in logs:
        result = run("train", log, "--out", str(tmp_path / log.name))
        if log.stem in PROMPTLESS:
            assert "store_prompts_in_spend_logs" in result.output, log.name
            continue
        if log.stem in FEW:
            assert result.exit_code == 1
            assert "different prompts" in result.output
            continue
        assert result.exit_code == 0, (log.name, result.output)
        told = json.loads(result.stdout)["log"]["latency"]
        assert set(told) == set(TRUE), log.name
        for name, (ttft_ms, tpot_ms) in TRUE.items():
            assert told[name]["ttft_ms"] == pytest.approx(ttft_ms, rel=0.05), log.name
            assert told[name]["tpot_ms"] == pytest.approx(tpot_ms, rel=0.05), log.name


@pytest.mark.slow
def test_tuning_chooses_the_same_in_every_log(logs: list[Path]) -> None:
    chosen = {}
    for log in logs:
        result = run("tune", log, "--seed", "0")
        assert result.exit_code == 0, (log.name, result.output)
        chosen[log.stem, log.suffix] = json.loads(result.stdout)["best"]
    good = chosen["good", ".jsonl"]
    for (name, suffix), best in chosen.items():
        if name in FEW:
            continue
        # Weights of the same worth lie side by side: a step of the search to one side is the same choice.
        assert best["weights"] == pytest.approx(good["weights"], abs=0.051), (name, suffix)
        for figure in ("quality", "mean_e2e_s", "p95_e2e_s"):
            assert best[figure] == pytest.approx(good[figure], rel=0.05), (name, suffix)
        if name not in PRICELESS:
            assert best["cost_usd_per_1k"] == pytest.approx(good["cost_usd_per_1k"], rel=0.05), (name, suffix)


def test_shadow_report_reads_every_log(logs: list[Path]) -> None:
    for log in logs:
        result = run("shadow-report", log)
        assert result.exit_code == 0, (log.name, result.output)
        assert json.loads(result.stdout)["decisions"] == 0
