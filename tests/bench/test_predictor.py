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
