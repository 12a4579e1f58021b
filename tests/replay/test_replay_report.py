"""The page that a manager reads: what was, what would have been, how sure that is, what it rests on."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.logs.spend_logs import read_spend_logs
from rb_litellm.replay.intervals import Pieces, judge
from rb_litellm.replay.scenes import HOURS_A_MONTH, judged_runs, play, read_scene
from rb_litellm.replay.whatif import Change, Replay
from tests.logs.lifelike import ODD, mixed, plain
from tests.replay.test_lifelike_logs import _moved, written


def week() -> list[dict[str, Any]]:
    """280 calls over seven days."""
    return [{**row, **_moved(row, (n % 7) * 86_400.0)} for n, row in enumerate(plain(280))]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return Replay(read_spend_logs(written(tmp_path_factory.mktemp("week"), week())).calls)


class _Text(HTMLParser):
    """The text of a page whose tags all close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += f" {data}"


def test_the_page_says_it_all_and_needs_nothing_else(tmp_path: Path) -> None:
    log = written(tmp_path, mixed(week(), sorted(ODD), 0.2))
    page = tmp_path / "report.html"
    options = [
        "--policy",
        "as-logged",
        "--policy",
        "routebalance:cost",
        "--add",
        "qwen-7b",
        "--html",
        str(page),
    ]
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", log, "--quiet", *options])
    assert result.exit_code == 0, result.output
    html = page.read_text()
    assert "http" not in html.replace("http://10.0.0.1", "")
    reader = _Text()
    reader.feed(html)
    assert not reader.open
    for said in (
        "would have saved",
        "a month",
        "What was",
        "routebalance:cost",
        "bootstrap over 7 days",
        "one more qwen-7b",
    ):
        assert said in reader.text, said
    assert "failed" in reader.text


def test_the_page_tries_one_server_more_and_fewer_unasked(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ["--policy", "as-logged", "--policy", "routebalance:cost", "--hourly", "qwen-7b=1.5"]
    log = written(tmp_path, week())
    result = CliRunner().invoke(
        main, ["replay", "--from-spend-logs", log, "--quiet", "--json", *options, "--html", str(page)]
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    models = ("hosted_vllm/llama-70b", "hosted_vllm/qwen-7b")
    expected = [f"add {model}" for model in models] + [f"without {model}=1" for model in models]
    assert sorted(one["scene"] for one in document["scenes"]) == sorted(expected)
    assert all([run["policy"] for run in one["runs"]] == ["routebalance:cost"] for one in document["scenes"])
    reader = _Text()
    reader.feed(page.read_text())
    assert not reader.open
    for said in ("one more hosted_vllm/qwen-7b: routebalance:cost", "without one hosted_vllm/llama-70b"):
        assert said in reader.text, said
    assert "An hour of a server, busy or not, is reckoned at 1.5 USD (qwen-7b)" in reader.text


def test_a_servers_hours_count_on_both_sides(replay: Replay) -> None:
    hourly, month = {"qwen-7b": 2.0}, 2.0 * HOURS_A_MONTH
    scenes = [read_scene("add qwen-7b"), read_scene("without qwen-7b")]
    more, fewer = play(replay, scenes, ["jsq"], hourly)
    bare_more, bare_fewer = play(replay, scenes, ["jsq"], {})
    was, _ = judged_runs(replay, [], hourly=hourly)
    assert was[0].usd_per_month.value == pytest.approx(replay_usd(replay) + month)
    for told, without, servers in ((more, bare_more, 2), (fewer, bare_fewer, 0)):
        (one,), (bare,) = told.judged, without.judged
        assert one.usd_per_month.value == pytest.approx(bare.usd_per_month.value + servers * month)
        saved = bare.saved_usd_per_month.value + (1 - servers) * month
        assert one.saved_usd_per_month.value == pytest.approx(saved)


def replay_usd(replay: Replay) -> float:
    return judged_runs(replay, [])[0][0].usd_per_month.value


def test_a_month_under_more_load_has_more_calls_on_both_sides(replay: Replay) -> None:
    once, twice = play(replay, [read_scene("load 1"), read_scene("load 2")], ["jsq"], {})
    (a,), (b,) = once.judged, twice.judged
    assert b.usd_per_month.value == pytest.approx(2.0 * a.usd_per_month.value, rel=0.2)


def test_a_scene_is_read_part_by_part() -> None:
    scene = read_scene("add qwen-7b=2; without http://a?b=1; price qwen-7b=0.1,0.2; load 1.5")
    assert scene.change == Change(["http://a?b=1"], ["qwen-7b=2"], {"qwen-7b": (0.1, 0.2)}, 1.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "allowed are parts"),
        ("more qwen-7b", "'more qwen-7b' cannot be read"),
        ("add", "'add' cannot be read"),
        ("price qwen-7b=1", "NAME=IN,OUT"),
        ("load much", "0.01 to 100"),
        ("load 1; load 2", "several loads"),
    ],
)
def test_a_scene_that_cannot_be_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_scene(text)


def test_a_page_is_never_overwritten(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("mine")
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", "no.jsonl", "--html", str(page)])
    assert result.exit_code == 1
    assert page.read_text() == "mine"


def test_savings_are_the_difference_of_costs_in_a_month(replay: Replay) -> None:
    was = replay.as_logged()
    (cheap,) = replay.run(["routebalance:cost"])
    pieces = Pieces.of(replay.calls)
    assert (pieces.unit, pieces.count) == ("days", 7)
    before, after = judge([was, cheap], was, pieces)
    months = pieces.span_s / (30.44 * 86_400.0)
    assert before.usd_per_month.value == pytest.approx(was.cost_usd.sum() / months)
    assert after.saved_usd_per_month.value == pytest.approx((was.cost_usd - cheap.cost_usd).sum() / months)
    assert after.saved_usd_per_month.low < after.saved_usd_per_month.value < after.saved_usd_per_month.high
    assert before.saved_usd_per_month.value == before.saved_usd_per_month.high == 0.0


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Means of days drawn around a known mean: about 19 in 20 intervals hold it."""
    from types import SimpleNamespace

    dice = np.random.default_rng(0)
    held = 0
    of_call = np.repeat(np.arange(30), 40)
    for _ in range(200):
        values = np.repeat(dice.normal(1.0, 0.3, 30), 40) + dice.normal(0.0, 0.5, of_call.size)
        run = SimpleNamespace(policy="p", e2e_s=values, quality=values, cost_usd=values)
        (told,) = judge([run], run, Pieces("days", of_call, 30, 30 * 86_400.0), seed=1)  # type: ignore[arg-type, list-item]
        held += told.mean_e2e_s.low <= 1.0 <= told.mean_e2e_s.high
    assert 0.88 <= held / 200 <= 0.99


def test_the_document_holds_the_intervals(tmp_path: Path) -> None:
    log = written(tmp_path, week())
    options = ["--policy", "jsq", "--json", "--quiet"]
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", log, *options])
    judged = json.loads(result.stdout)["judged"]
    assert (judged["by"], judged["pieces"]) == ("days", 7)
    assert [one["policy"] for one in judged["runs"]] == ["as-logged", "jsq"]
