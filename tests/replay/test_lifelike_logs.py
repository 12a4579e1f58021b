"""What a log holds besides plain calls bends no figure, and every command says what it left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.cli import main
from rb_litellm.fitting.fit import FittedServer, fit
from rb_litellm.fitting.servers import apart
from rb_litellm.logs.spend_logs import read_spend_logs
from rb_litellm.replay.traffic import busy_times
from tests.logs.lifelike import FIGURES, ODD, PRICES, mixed, plain
from tests.logs.lifelike import row as one_row


def written(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "logs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def fitted(path: str) -> dict[str, FittedServer]:
    return {server.deployment: server for server in fit(apart(read_spend_logs(path).calls)).servers}


def assert_true(servers: dict[str, FittedServer], within: float) -> None:
    for name, (ttft_s, tpot_s) in FIGURES.items():
        server = servers[name]
        assert server.ttft_s == pytest.approx(ttft_s, rel=within), name
        assert server.tpot_s == pytest.approx(tpot_s, rel=within), name
        assert server.input_usd_per_token == pytest.approx(PRICES[name][0], rel=within), name
        assert server.output_usd_per_token == pytest.approx(PRICES[name][1], rel=within), name
        assert not server.distrust


def test_a_plain_log_shows_the_true_figures(tmp_path: Path) -> None:
    assert_true(fitted(written(tmp_path, plain())), within=0.05)


@pytest.mark.parametrize("odd", ODD)
def test_odd_rows_of_each_kind_bend_no_figure(tmp_path: Path, odd: str) -> None:
    assert_true(fitted(written(tmp_path, mixed(plain(), [odd], 0.15))), within=0.05)


@settings(max_examples=40)
@given(
    odd=st.lists(st.sampled_from(sorted(ODD)), min_size=1, max_size=len(ODD), unique=True),
    share=st.floats(0.0, 0.3),
    seed=st.integers(0, 1000),
)
def test_any_mixture_of_odd_rows_up_to_three_in_ten_bends_no_figure(
    tmp_path_factory: pytest.TempPathFactory, odd: list[str], share: float, seed: int
) -> None:
    rows = mixed(plain(seed=seed), odd, share, seed)
    assert_true(fitted(written(tmp_path_factory.mktemp("mixed"), rows)), within=0.1)


def run(command: str, *args: object) -> Any:
    result = CliRunner().invoke(main, [command, "--quiet", *map(str, args)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def odd_log(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("odd"), mixed(plain(), sorted(ODD), 0.3))


@pytest.fixture(scope="module")
def plain_log(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("plain"), plain())


def test_replay_tells_the_same_of_an_odd_log_and_what_it_left_out(plain_log: str, odd_log: str) -> None:
    options = [
        "--policy",
        "as-logged",
        "--policy",
        "routebalance:cost",
        "--json",
        "--quality",
        "qwen-7b=0.62",
    ]
    good, odd = (
        json.loads(run("replay", "--from-spend-logs", log, *options).stdout) for log in (plain_log, odd_log)
    )
    for expected, told in zip(good["fit"][1:], odd["fit"][1:], strict=True):
        assert told["simulated_mean_e2e_s"] == pytest.approx(expected["simulated_mean_e2e_s"], rel=0.1)
        assert told["median_error"] < 0.1
    reasons = {one["reason"] for one in odd["log"]["left_out"]}
    assert {"of another kind", "failed", "answered from a cache", "ends before it starts"} <= reasons
    assert odd["quick_calls"] > 0
    assert odd["log"]["rows"] == odd["source_calls"] + sum(one["rows"] for one in odd["log"]["left_out"])


def test_train_tells_the_same_speeds_of_an_odd_log(odd_log: str, tmp_path: Path) -> None:
    told = json.loads(
        run("train", "--from-spend-logs", odd_log, "--out", tmp_path / "model", "--json").stdout
    )
    assert set(told["models"]) == {"qwen-7b", "llama-70b"}
    for name, (ttft_s, tpot_s) in FIGURES.items():
        assert told["log"]["latency"][name]["ttft_ms"] == pytest.approx(ttft_s * 1e3, rel=0.1)
        assert told["log"]["latency"][name]["tpot_ms"] == pytest.approx(tpot_s * 1e3, rel=0.1)


def test_a_predictor_that_was_trained_by_group_names_is_used(odd_log: str, tmp_path: Path) -> None:
    run("train", "--from-spend-logs", odd_log, "--out", tmp_path / "model")
    options = ["--policy", "as-logged", "--json", "--predictor", tmp_path / "model"]
    told = json.loads(run("replay", "--from-spend-logs", odd_log, *options).stdout)
    assert told["predictor"] == {
        "names": {"hosted_vllm/llama-70b": "llama-70b", "hosted_vllm/qwen-7b": "qwen-7b"},
        "not_known": [],
    }


def test_tune_reads_an_odd_log(odd_log: str) -> None:
    options = ["--seed", 0, "--json", "--max-rows", 60, "--quality", "hosted_vllm/qwen-7b=0.6"]
    assert json.loads(run("tune", "--from-spend-logs", odd_log, *options).stdout)["meets"]


def test_shadow_report_reads_an_odd_log(tmp_path: Path) -> None:
    rows = plain(40)
    figures = {"quality": 0.5, "e2e_s": 1.0, "ttft_s": 0.1, "cost_usd": 0.001}
    detail = {
        "deployment": "a",
        "model": "a",
        "predicted": figures,
        "would": {**figures, "deployment": "b", "model": "b"},
    }
    for row in rows:
        row["metadata"] = {"routing_decision": {"routebalance": detail}}
    path = written(tmp_path, mixed(rows, sorted(ODD), 0.3))
    told = json.loads(run("shadow-report", "--from-spend-logs", path, "--json").stdout)
    assert (told["decisions"], told["moved_share"]) == (40, 1.0)


@pytest.mark.parametrize("command", ["replay", "train", "tune", "shadow-report"])
def test_strictly_a_wrong_row_ends_every_command(command: str, odd_log: str, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "model")] if command == "train" else []
    result = CliRunner().invoke(main, [command, "--from-spend-logs", odd_log, "--strict", *options])
    assert result.exit_code == 1
    assert "row " in result.output
    assert "allowed: " in result.output


def test_a_log_of_which_nothing_is_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    rows = [ODD["image"](n, float(n)) for n in range(5)] + [ODD["failed"](n + 5, float(n)) for n in range(3)]
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", written(tmp_path, rows)])
    assert result.exit_code == 1
    assert "of another kind: 5 (5 image)" in result.output
    assert "failed: 3" in result.output


def test_models_behind_one_wildcard_are_servers_of_their_own(tmp_path: Path) -> None:
    rows = [{**row, "model_id": "wildcard", "model_group": "openai/*"} for row in plain()]
    servers = fitted(written(tmp_path, rows))
    assert set(servers) == {"wildcard (hosted_vllm/qwen-7b)", "wildcard (hosted_vllm/llama-70b)"}
    assert servers["wildcard (hosted_vllm/qwen-7b)"].tpot_s == pytest.approx(FIGURES["small-1"][1], rel=0.05)


def test_a_model_is_one_whatever_capitals_its_name_is_written_in(tmp_path: Path) -> None:
    rows = plain()
    for row in rows[::3]:
        row["model"] = row["model"].upper()
    for row in rows[1::3]:
        row["model"] = row["model"].partition("/")[2]
    assert_true(fitted(written(tmp_path, rows)), within=0.05)


def test_a_deployment_that_only_mocks_is_not_simulated_unless_asked(tmp_path: Path) -> None:
    mocks = [{**ODD["at once"](n, float(n)), "model_id": "mock-1", "model": "mock"} for n in range(300, 360)]
    path = written(tmp_path, [*plain(), *mocks])
    options = ["--policy", "as-logged", "--json"]
    told = json.loads(run("replay", "--from-spend-logs", path, *options).stdout)
    assert [one["deployment"] for one in told["not_simulated"]] == ["mock-1"]
    assert told["replayed_calls"] == 240
    told = json.loads(run("replay", "--from-spend-logs", path, "--poor-fits", *options).stdout)
    assert told["replayed_calls"] == 300


def test_quick_answers_may_be_most_of_a_deployments(tmp_path: Path) -> None:
    quick = [ODD["a guardrail's answer"](1000 + n, float(n)) for n in range(300)]
    assert_true(fitted(written(tmp_path, [*plain(), *quick])), within=0.1)


def test_the_time_of_a_replay_goes_with_its_calls(tmp_path: Path) -> None:
    import time

    year = [{**row, **_moved(row, n * 86_400.0)} for n, row in enumerate(plain(300))]
    path = written(tmp_path, year)
    started = time.perf_counter()
    run("replay", "--from-spend-logs", path, "--policy", "routebalance", "--json")
    assert time.perf_counter() - started < 30.0


def test_calls_that_began_half_a_century_ago_keep_nothing_awake(tmp_path: Path) -> None:
    old = [one_row(900 + n, 0.0, startTime="1970-01-01T00:00:00Z") for n in range(20)]
    calls = read_spend_logs(written(tmp_path, [*plain(), *old])).calls
    assert busy_times(calls, fit(calls).slow)[-1] < 1_000.0


def _moved(row: dict[str, Any], seconds: float) -> dict[str, str]:
    from datetime import datetime, timedelta

    return {
        name: (
            datetime.fromisoformat(row[name].replace("Z", "+00:00")) + timedelta(seconds=seconds)
        ).isoformat()
        for name in ("startTime", "endTime", "completionStartTime")
    }
