"""Studies train anew on a part of the data and judge on the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.train.data.dataset import read_dataset
from rb_litellm.train.figures.studies import study
from tests.train.conftest import answers

Write = Callable[..., Path]


def test_splits_judge_on_a_fifth_of_the_prompts(write_rows: Write) -> None:
    report = study("splits", read_dataset([write_rows(answers(100))]), {"small": 0.1, "large": 1.0}, (0, 1))
    assert [run["split"] for run in report["runs"]] == [0, 1]
    assert [run["prompts"] for run in report["runs"]] == [20, 20]
    assert report["mean"]["gain"] > 0.03
    assert report["mean"]["cost_ratio_at_best_single_quality"] < 1.0


def test_each_task_is_left_out_once(write_rows: Write) -> None:
    path = write_rows(answers(100))
    result = CliRunner().invoke(
        main, ["evaluate", "--study", "tasks", "--data", str(path), "--json", "--quiet"]
    )
    assert result.exit_code == 0, result.output
    runs = json.loads(result.stdout)["runs"]
    assert [run["task"] for run in runs] == ["code", "poem"]
    assert all(run["routing"]["trained_best"] in ("small", "large") for run in runs)


def test_a_model_or_a_study_is_asked_for(write_rows: Write) -> None:
    result = CliRunner().invoke(main, ["evaluate", "--data", str(write_rows(answers(30)))])
    assert result.exit_code == 2
    assert "--predictor default|none|DIR or --study" in result.output
