"""`bench predictor` runs to its end and says what was timed."""

from __future__ import annotations

import json

from click.testing import CliRunner

from rb_litellm.cli import main


def test_every_size_is_timed_part_by_part() -> None:
    result = CliRunner().invoke(main, ["bench", "predictor", "--repeats", "10", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["predictor"] == "placeholder"
    assert len(report["models"]) == 4
    parts = ["tokens", "prediction", "all"]
    sizes = {
        ("200 tokens", 1): [*parts, "xgboost"],
        ("200 tokens", 32): [*parts, "xgboost"],
        ("220 KB", 1): parts,
    }
    found = [(row["prompt"], row["batch"], row["part"]) for row in report["rows"]]
    assert found == [(*size, part) for size, timed in sizes.items() for part in timed]
    assert all(0.0 < row["p50_ms"] <= row["p99_ms"] for row in report["rows"])


def test_the_one_that_ships_is_asked_for_four_models_and_for_sixteen() -> None:
    result = CliRunner().invoke(
        main, ["bench", "predictor", "--predictor", "default", "--repeats", "10", "--json"]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["predictor"] == "default"
    assert len(report["models"]) == 16
    timed = {(row["prompt"], row["batch"], row["models"]) for row in report["rows"]}
    sizes = (("200 tokens", 1), ("200 tokens", 32), ("220 KB", 1))
    assert timed == {(*size, models) for size in sizes for models in (4, 16)}


def test_a_predictor_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(main, ["bench", "predictor", "--predictor", "nowhere"])
    assert result.exit_code == 2
    assert "'nowhere' is no folder; allowed are default, and a folder of `train`" in result.output
