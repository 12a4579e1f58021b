"""Runs give the same bit for bit wherever they are carried out; one that fails does not cost the others."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.cli.decide.simulate import simulate
from rb_litellm.cli.measure.experiment import experiment
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.experiments.loads import bursts
from rb_litellm.sim.memory import RememberedPredictions
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.world import Run, WorldFiles, run_all
from rb_litellm.spread.where import Where
from rb_litellm.spread.work import whole
from tests.sim.corpus import CORPUS
from tests.sim.experiments.test_report import data_file

TIMES = {"wall_s", "deciding_wall_s"}
"""What a run took of the machine's own time, which is never the same."""
TIMES_TOLD = {"decision_us", "speed"}


def bits(result: RunResult) -> dict[str, object]:
    """All that a run found, to the last bit."""
    found = {field.name: getattr(result, field.name) for field in fields(result) if field.name not in TIMES}
    return {name: v.tobytes() if isinstance(v, np.ndarray) else repr(v) for name, v in found.items()}


def some_runs(trace: Path) -> list[Run]:
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{n / 9},50,9\n" for n in range(60)))
    return [
        *(
            Run(policy, 20.0, seed, 60)
            for seed in (0, 1)
            for policy in ("routebalance:balanced", "litellm:least-busy", "classifier+jsq", "oracle")
        ),
        Run("routebalance-affinity", 20.0, 0, 60, workload="conversations", workers=3),
        Run("routebalance:cost", 9.0, 0, 60, str(trace), sample_s=0.5),
    ]


def test_runs_are_the_same_alone_and_in_two_processes(tmp_path: Path) -> None:
    files = WorldFiles((data_file(tmp_path),))
    runs = some_runs(tmp_path / "trace.csv")
    alone, spread = (whole(run_all(files, runs, Where(jobs))) for jobs in (1, 2))
    assert [bits(result) for result in spread] == [bits(result) for result in alone]


def test_a_run_does_not_depend_on_those_before(tmp_path: Path) -> None:
    files = WorldFiles((data_file(tmp_path),))
    runs = some_runs(tmp_path / "trace.csv")
    forward, backward = whole(run_all(files, runs)), whole(run_all(files, runs[::-1]))
    assert [bits(result) for result in backward[::-1]] == [bits(result) for result in forward]


@given(st.lists(st.lists(st.sampled_from(CORPUS.prompts), min_size=1, max_size=5), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_a_prompts_prediction_does_not_depend_on_what_was_asked_with_or_before_it(batches) -> None:
    models = [ModelInfo("small", "qwen2.5-3b"), ModelInfo("large", "qwen2.5-72b")]
    source = PredictionSource(default=packaged())
    remembered = RememberedPredictions(source)
    for batch in batches:
        told = remembered.predict(batch, models)
        alone = [source.predict([prompt], models) for prompt in batch]
        assert told.quality.tobytes() == np.concatenate([one.quality for one in alone]).tobytes()
        assert told.output_tokens.tobytes() == np.concatenate([one.output_tokens for one in alone]).tobytes()


def command(which, *arguments: str) -> Result:
    return CliRunner().invoke(which, [*arguments, "--json", "--quiet"])


def runs_told(result: Result) -> list[dict[str, object]]:
    """The runs of a document without what they took of real time."""
    assert result.exit_code == 0, result.output
    return [
        {name: value for name, value in run.items() if name not in TIMES_TOLD}
        for run in json.loads(result.stdout)["runs"]
    ]


def test_commands_print_the_same_with_one_and_two_jobs(tmp_path: Path) -> None:
    data = ("--data", str(data_file(tmp_path)), "--requests", "50")
    alone, spread = (command(simulate, *data, "--jobs", jobs) for jobs in "12")
    assert runs_told(alone) == runs_told(spread)
    alone, spread = (command(experiment, "bursts", *data, "--seeds", "1", "--jobs", jobs) for jobs in "12")
    assert runs_told(alone) == runs_told(spread)
    assert json.loads(alone.stdout)["blocks"] == json.loads(spread.stdout)["blocks"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_runs_that_fail_are_named_and_the_others_are_told(tmp_path: Path, jobs: str) -> None:
    policies = ("--policy", "jsq", "--policy", "best", "--policy", "round-robin")
    result = command(
        simulate, "--data", str(data_file(tmp_path)), "--requests", "50", *policies, "--jobs", jobs
    )
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: best at 12/s, seed 0: unknown policy 'best'; there are ")
    document = json.loads(result.stdout)
    assert [run["policy"] for run in document["runs"]] == ["jsq", "round-robin"]
    assert [one["run"] for one in document["failed"]] == ["best at 12/s, seed 0"]


def test_an_experiment_of_which_runs_failed_shows_the_others_and_claims_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts, "CLUSTERS", ())
    monkeypatch.setattr(bursts, "OTHERS", ("jsq", "best"))
    args = ("bursts", "--data", str(data_file(tmp_path)), "--requests", "50", "--seeds", "1", "--jobs", "1")
    result = command(experiment, *args)
    assert result.exit_code == 1
    assert "Error: best at " in result.stderr
    document = json.loads(result.stdout)
    assert {run["policy"] for run in document["runs"]} == {
        "routebalance:balanced",
        "routebalance-window",
        "jsq",
    }
    assert [block["claims"] for block in document["blocks"]] == [[]]
