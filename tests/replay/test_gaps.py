"""A row of a log that is dated far from all others changes no sum per month, and is told of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.logs.spend_logs import LoggedCall, read_spend_logs
from rb_litellm.replay.intervals import DAY_S, Pieces
from rb_litellm.replay.whatif import Replay
from tests.replay.logs_of_simulations import rows, write

YEAR_S = 365.0 * DAY_S


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[LoggedCall]:
    file = write(tmp_path_factory.mktemp("logs") / "spend.jsonl", rows(200))
    return list(read_spend_logs(file).calls)


def with_one_moved(calls: list[LoggedCall], by_s: float) -> list[LoggedCall]:
    first, *others = calls
    token_s = None if first.first_token_s is None else first.first_token_s + by_s
    moved = replace(first, start_s=first.start_s + by_s, end_s=first.end_s + by_s, first_token_s=token_s)
    return sorted([moved, *others], key=lambda call: call.start_s)


@pytest.mark.parametrize("years", [-10.0, 10.0])
def test_a_row_dated_years_away_does_not_stretch_the_span(calls: list[LoggedCall], years: float) -> None:
    far = with_one_moved(calls, years * YEAR_S)
    assert Pieces.of(far).span_s == pytest.approx(Pieces.of(calls).span_s, abs=60.0)
    assert Replay(far).told()["gap_days"] == pytest.approx(3650.0, abs=1.0)


def test_a_quiet_week_is_part_of_the_log(calls: list[LoggedCall]) -> None:
    quiet = with_one_moved(calls, -7.0 * DAY_S)
    assert Replay(quiet).told()["gap_days"] == 0.0
    assert Pieces.of(quiet).span_s > 7.0 * DAY_S


def test_the_command_says_that_a_row_is_far_away(tmp_path: Path) -> None:
    logged = rows(200)
    for name in ("startTime", "endTime", "completionStartTime"):
        if logged[0].get(name):
            logged[0][name] = "2016" + logged[0][name][4:]
    options = ["--policy", "as-logged", "--quiet"]
    file = write(tmp_path / "far.jsonl", logged)
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", file, *options])
    assert result.exit_code == 0, result.output
    assert "Some rows lie far from all others" in result.stdout
