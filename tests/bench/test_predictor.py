"""`bench predictor` runs to its end and says what was timed."""

from __future__ import annotations

import json

from click.testing import CliRunner

from rb_litellm.cli import main


def test_every_size_is_timed_part_by_part() -> None:
    result = CliRunner().invoke(main, ["bench", "predictor", "--repeats", "10", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["predictor"] == "stand-in"
    assert len(report["models"]) == 4
    sizes = [("200 tokens", 1), ("200 tokens", 32), ("220 KB", 1)]
    found = [(row["prompt"], row["batch"], row["part"]) for row in report["rows"]]
    assert found == [(*size, part) for size in sizes for part in ("tokens", "prediction", "all")]
    assert all(0.0 < row["p50_ms"] <= row["p99_ms"] for row in report["rows"])
