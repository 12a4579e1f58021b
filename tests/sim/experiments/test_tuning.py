"""The search finds the weights that a known landscape says are best, and says honestly when none will do."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from rb_litellm.cli import main
from rb_litellm.core.decision.scoring import PRESETS, Weights
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.tuning import Point, Wishes, choose, pareto, tune
from tests.replay.logs_of_simulations import rows, write
from tests.sim.experiments.test_report import data_file


def landscape(policies, rates, seeds):
    """Quality rises with its weight, time falls with its own, cost likewise; more load takes longer."""
    results = []
    for rate in rates:
        for seed in seeds:
            for policy in policies:
                q, w, c = map(float, policy.removeprefix("routebalance:").split(","))
                e2e = (3.0 - 2.0 * w**0.5) * rate
                results.append(
                    RunResult(
                        policy=policy, rate=rate, seed=seed, failed=0, e2e_s=np.full(4, e2e),
                        ttft_s=np.full(4, 0.1), quality=np.full(4, 0.4 + 0.4 * q**0.5),
                        cost_usd=np.full(4, (2.0 - 1.5 * c**0.5) / 1000.0), tier=np.zeros(4, dtype=np.int64),
                        number=np.arange(4),
                        deployment=np.zeros(4, dtype=np.int64), tiers=("only",), sim_s=1.0, wall_s=1.0,
                    )
                )  # fmt: skip
    return results


def test_without_wishes_the_knee_is_a_compromise():
    best = tune(landscape, Wishes(), 1.0, (0,)).best.weights
    assert min(best.quality, best.latency, best.cost) > 0.15


@pytest.mark.parametrize(
    "wishes",
    [Wishes(max_p95_s=1.5), Wishes(max_cost_usd_per_1k=0.9), Wishes(min_quality=0.7), Wishes(1.8, 1.4, 0.55)],
)
def test_wishes_that_can_be_met_are_met(wishes):
    found = tune(landscape, wishes, 1.0, (0,))
    assert found.meets
    assert found.best.miss(wishes) == 0.0


def test_limits_that_cannot_be_met_are_reported_as_missed():
    found = tune(landscape, Wishes(max_p95_s=0.5), 1.0, (0,))
    assert not found.meets
    assert found.best.weights.latency == pytest.approx(1.0)


def test_the_best_is_tried_at_other_loads_with_all_seeds():
    found = tune(landscape, Wishes(max_p95_s=2.0), 1.0, (0, 1, 2), loads=(0.5, 2.0))
    assert [rate for rate, _, _ in found.robust] == [0.5, 1.0, 2.0]
    assert [point.runs for _, point, _ in found.robust] == [3, 3, 3]
    assert [met for _, _, met in found.robust] == [1.0, 1.0, 0.0]


figures = st.tuples(st.floats(0, 1), st.floats(0.1, 10), st.floats(0.1, 10))


@given(st.lists(figures, min_size=1, max_size=30))
def test_no_point_of_the_front_is_beaten(told):
    points = [Point(PRESETS["balanced"], q, p95, p95, cost, 1) for q, p95, cost in told]
    front = pareto(points)
    assert front
    for point in front:
        for other in points:
            assert not (
                other.quality > point.quality
                and other.p95_e2e_s < point.p95_e2e_s
                and other.cost_usd_per_1k < point.cost_usd_per_1k
            )


@given(st.lists(figures, min_size=1, max_size=30))
@example([(0.0, 1.0, 1.0), (5e-324, 1.0, 1.0)])
def test_the_choice_lies_on_the_front(told):
    points = [Point(PRESETS["balanced"], q, p95, p95, cost, 1) for q, p95, cost in told]
    assert choose(points, Wishes()) in pareto(points)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write(tmp_path_factory.mktemp("logs") / "spend.jsonl", rows(count=120))


def test_the_command_tunes_on_spend_logs_and_writes_the_lines(log, tmp_path):
    out = tmp_path / "weights.yaml"
    options = ["--from-spend-logs", log, "--seed", "0", "--jobs", "1", "--json", "--quiet", "--out", str(out)]
    result = CliRunner().invoke(main, ["tune", *options])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (group,) = yaml.safe_load(out.read_text())["router_settings"]["routing_groups"]
    assert group["routing_strategy_args"]["weights"] == document["best"]["weights"]
    Weights(**document["best"]["weights"])
    assert fmean(row["met_share"] for row in document["robust"]) == 1.0


def test_the_command_finds_the_same_with_one_and_two_processes(tmp_path):
    options = ["--data", str(data_file(tmp_path)), "--requests", "50", "--seed", "0", "--json", "--quiet"]
    alone, spread = (CliRunner().invoke(main, ["tune", *options, "--jobs", jobs]) for jobs in "12")
    assert alone.exit_code == spread.exit_code == 0, spread.output
    assert json.loads(alone.stdout) == json.loads(spread.stdout)


def test_no_file_is_overwritten(log, tmp_path):
    out = Path(tmp_path / "there.yaml")
    out.write_text("mine")
    result = CliRunner().invoke(main, ["tune", "--from-spend-logs", log, "--out", str(out)])
    assert result.exit_code == 1
    assert "exists" in result.output
    assert out.read_text() == "mine"


def test_limits_that_no_weights_meet_end_with_their_own_status(log):
    options = ["--from-spend-logs", log, "--seed", "0", "--jobs", "1", "--quiet", "--max-p95-s", "0.01"]
    result = CliRunner().invoke(main, ["tune", *options])
    assert result.exit_code == 3
    assert "No weights meet the limits" in result.output
