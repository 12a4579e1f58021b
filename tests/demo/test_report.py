"""What the demo tells: figures from the answers alone, alike for every strategy, in the promised fields."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from rb_litellm.cli.screen import Screen
from rb_litellm.config import parse_deployment, parse_settings
from rb_litellm.demo.backend import paper_places
from rb_litellm.demo.load import Answer, Shot
from rb_litellm.demo.prompts import BUILT_IN, read_prompts
from rb_litellm.demo.report import DemoResult, Figures, StrategyRun, beats, failures, sentences
from rb_litellm.demo.stage import ENTRANTS, group_name, placed, proxy_config, server_id
from rb_litellm.demo.truth import published


def answer(deployment: str, e2e_s: float, error: str | None = None) -> Answer:
    shot = Shot(0.0, "why?")
    return Answer(
        shot, 200, error, ttft_s=0.1, e2e_s=e2e_s, input_tokens=100, output_tokens=200, deployment=deployment
    )


RUN = StrategyRun(
    "routebalance",
    [answer("qwen2.5-3b-1", 1.0), answer("qwen2.5-72b-2", 3.0), answer("", 9.0, error="500")],
)
RESULT = DemoResult(3, 0, 12.0, {"routebalance": RUN})


def test_json_has_the_promised_fields_and_leaves_failures_out_of_the_means() -> None:
    told = RESULT.as_json()["strategies"]["routebalance"]
    assert told["mean_e2e_s"] == pytest.approx(2.0)
    assert told["quality"] == pytest.approx(
        (published("qwen2.5-3b") + published("qwen2.5-72b")) / 2, abs=1e-4
    )
    # 300 tokens at 0.06, and 100 at 0.38 with 200 at 0.40, each per million.
    assert told["cost_usd_per_1k"] == pytest.approx((300 * 0.06 + 100 * 0.38 + 200 * 0.40) / 2 / 1e3)
    assert told["failed"] == 1
    assert told["share"]["qwen2.5-72b"] == pytest.approx(1 / 3, abs=1e-4)
    assert set(told) >= {"p95_e2e_s", "p50_ttft_s"}


def test_a_run_in_which_all_failed_is_still_reported() -> None:
    broken = DemoResult(1, 0, 1.0, {"least-busy": StrategyRun("least-busy", [answer("", 1.0, error="x")])})
    assert broken.as_json()["strategies"]["least-busy"]["mean_e2e_s"] is None
    broken.show(Console(file=io.StringIO()))


def test_tables_name_every_model_and_strategy_within_80_columns() -> None:
    text = io.StringIO()
    RESULT.show(Console(file=text, width=80))
    assert "…" not in text.getvalue()
    for name in ("qwen2.5", "3b", "72b", "routebalance", "USD/1k"):
        assert name in text.getvalue()


def test_nothing_ends_in_blanks_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    RESULT.show(Screen())
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert max(map(len, (line for line in lines if "│" in line))) <= 80


def configured(weights: str = "balanced") -> dict[str, Any]:
    places = placed(paper_places(9001, len(ENTRANTS)), ENTRANTS)
    return proxy_config(places, ENTRANTS, 6379, "sk-1", 2.0, weights, 0)


def test_each_strategy_has_thirteen_servers_of_its_own_in_groups_of_its_own() -> None:
    config = configured()
    ids = [entry["model_info"]["id"] for entry in config["model_list"]]
    assert len(ids) == len(set(ids)) == 13 * len(ENTRANTS)
    assert len({server_id(i) for i in ids}) == 13
    assert len({entry["litellm_params"]["api_base"] for entry in config["model_list"]}) == len(ids)
    groups = config["router_settings"]["routing_groups"]
    assert [group["group_name"] for group in groups] == [group_name(name) for name in ENTRANTS]
    members = [model for group in groups for model in group["models"]]
    assert len(members) == len(set(members))
    assert set(members) == {entry["model_name"] for entry in config["model_list"]}


COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "config" / "proxy.yaml").read_text())


@pytest.mark.parametrize("config", [configured(), COMPOSE], ids=["demo", "compose"])
def test_the_proxy_is_told_of_a_model_what_is_published_of_it_and_no_more(config: dict[str, Any]) -> None:
    for entry in config["model_list"]:
        model = entry["litellm_params"]["model"].removeprefix("hosted_vllm/")
        assert entry["model_info"]["routebalance"]["quality"] == published(model)


def test_configuration_is_one_that_the_strategy_accepts() -> None:
    config = configured("0.4,0.3,0.3")
    for entry in config["model_list"]:
        parse_deployment(entry["model_info"]["routebalance"], "model_info.routebalance")
    [ours] = [g for g in config["router_settings"]["routing_groups"] if g["group_name"] == "auto"]
    parse_settings(ours["routing_strategy_args"], "routing_strategy_args")


def test_built_in_prompts_are_two_hundred_different_ones() -> None:
    assert len(read_prompts(BUILT_IN)) >= 200


def test_the_demo_ends_with_what_was_gained_what_it_costs_and_what_to_try() -> None:
    def run(name: str, e2e_s: float, right: bool) -> StrategyRun:
        one = answer("qwen2.5-7b-1", e2e_s)
        one.right, one.routebalance = right, {"decision-ms": "0.6"}
        return StrategyRun(name, [one])

    ours, other = run("routebalance", 2.0, True), run("least-busy", 4.0, False)
    result = DemoResult(
        1, 0, 1.0, {"routebalance": ours, "least-busy": other}, {"cost": run("cost", 3.0, True)}
    )
    gained, costs, next_ = sentences(result)
    assert "against least-busy, +100.0 points right answers, -50.0% time, +0.0% cost" in gained
    assert "0.6 ms" in costs
    assert "`cost` gave +0.0 points right answers, +50.0% time" in next_
    assert "At `cost` no other strategy is better" in next_


def test_the_demo_says_when_its_machine_was_too_busy_for_times_to_count() -> None:
    one = answer("qwen2.5-7b-1", 2.0)
    one.routebalance = {"decision-ms": "146"}
    said = sentences(DemoResult(1, 0, 1.0, {"routebalance": StrategyRun("routebalance", [one])}))
    assert any("This machine was busy" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("e2e_s", "right", "better"),
    [(2.0, True, False), (2.03, True, False), (1.9, True, True), (3.0, False, False)],
)
def test_a_strategy_is_better_from_two_percent_on_in_any_of_the_three(
    e2e_s: float, right: bool, better: bool
) -> None:
    def figures(e2e_s: float, right: bool) -> Figures:
        one = answer("qwen2.5-7b-1", e2e_s)
        one.right = right
        return Figures.of([one])

    assert beats(figures(e2e_s, right), figures(2.0, True)) is better


def test_failed_requests_are_told_with_their_first_error() -> None:
    assert failures(RESULT) == ["routebalance: 1 of 3 requests failed, the first with: 500"]


def test_file_of_prompts_is_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"prompt": "one"}) + "\n" + json.dumps({"text": "two"}) + "\n")
    with pytest.raises(ValueError, match=r"line 2: .*`prompt`"):
        read_prompts(file)
