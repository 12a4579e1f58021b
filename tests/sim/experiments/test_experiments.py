"""The named experiments: each runs, reads its own results, and says what holds."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from rb_litellm.cli.measure.experiment import experiment
from rb_litellm.sim.experiments.comparisons.front import above, upper_hull
from rb_litellm.sim.experiments.loads import scale as scale_experiment
from rb_litellm.sim.experiments.measured import Measured, Scale
from rb_litellm.sim.experiments.registry import NAMES, named
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN
from tests.sim.experiments.test_report import data_file

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)
FIGURES = ("mean_e2e_s", "quality")


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_reads_its_own_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_experiment, "SIZES", (4, 13))
    monkeypatch.setattr(scale_experiment, "SECONDS_EACH", {4: 4.0, 13: 3.0})
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{n},50,9\n" for n in range(60)))
    chosen = named(name)
    runs = chosen.runs(Scale((0,), 50, trace))
    assert len(set(runs)) == len(runs)
    # Of one type, or the requests of all runs make no table.
    assert {type(run.rate) for run in runs} == {float}
    blocks = chosen.blocks(Measured([(run, WORLD.run(run)) for run in runs]))
    assert blocks
    for block in blocks:
        assert block.as_markdown()
        assert json.dumps(block.as_json())


def test_front_is_the_rising_part_of_the_upper_hull() -> None:
    points = [(1.0, 0.2), (2.0, 0.6), (3.0, 0.65), (4.0, 0.9), (3.5, 0.5), (5.0, 0.8)]
    assert upper_hull(points) == [(1.0, 0.2), (2.0, 0.6), (4.0, 0.9)]


def test_command_prints_claims_and_settings(tmp_path: Path) -> None:
    args = [
        "bursts",
        "--data",
        str(data_file(tmp_path)),
        "--requests",
        "50",
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--json",
        "--quiet",
    ]
    result = CliRunner().invoke(experiment, args)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["experiment"] == "bursts"
    assert {run["arrivals"] for run in document["runs"]} == {"poisson", "gamma:0.3", "square:0.5,1.5"}
    assert all({"claim", "measured", "holds"} <= c.keys() for b in document["blocks"] for c in b["claims"])


def test_unknown_experiment_is_answered_with_those_there_are(tmp_path: Path) -> None:
    result = CliRunner().invoke(experiment, ["best", "--data", str(data_file(tmp_path)), "--quiet"])
    assert "unknown experiment 'best'; did you mean best-of? there are cluster, paper-table" in result.output


def test_a_baseline_lies_above_the_front_where_it_is_better_on_the_same_prompts() -> None:
    def measured(**policies: list[tuple[float, float]]) -> Measured:
        pairs = [
            (
                Run(policy, 12.0, seed, 50),
                SimpleNamespace(seed=seed, figure=dict(zip(FIGURES, point, strict=True)).get),
            )
            for policy, points in policies.items()
            for seed, point in enumerate(points)
        ]
        return Measured(pairs)  # type: ignore[arg-type]

    easy_and_hard = [(1.0, 0.8), (1.0, 0.6), (1.0, 0.7)]
    a_bit_better = [(1.0, 0.81), (1.0, 0.61), (1.0, 0.69)]
    assert not above(measured(ours=a_bit_better, theirs=easy_and_hard), ["ours"], ["theirs"], FIGURES[0])
    found = above(measured(ours=easy_and_hard, theirs=a_bit_better), ["ours"], ["theirs"], FIGURES[0])
    assert found["theirs"].median == pytest.approx(0.01)
