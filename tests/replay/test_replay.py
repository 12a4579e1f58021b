"""What is found in a log is what it was made with, and the same arrivals can be run another way."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.fitting.fit import fit
from rb_litellm.logs.spend_logs import read_spend_logs
from rb_litellm.replay.whatif import Change, Replay
from rb_litellm.sim.servers.calibrated import Calibrated
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.servers.instance import Hardware
from tests.replay.logs_of_simulations import IDS, TIER_OF, rows, write

QUALITY = {f"hosted_vllm/{tier.model}": tier.quality for tier in PAPER_CLUSTER.tiers}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write(tmp_path_factory.mktemp("logs") / "spend.jsonl", rows())


@pytest.fixture(scope="module")
def replay(log):
    return Replay(read_spend_logs(log).calls, QUALITY)


def test_every_deployment_of_the_log_is_fitted(replay):
    assert [server.deployment for server in replay.servers] == sorted(IDS)


def test_time_per_token_is_found(replay):
    truth = dict(zip(IDS, TIER_OF, strict=True))
    found = {s.deployment: s.tpot_s / truth[s.deployment].tpot_s for s in replay.servers}
    assert all(0.85 < ratio < 1.2 for ratio in found.values()), found


def test_prices_are_found(replay):
    truth = dict(zip(IDS, TIER_OF, strict=True))
    for server in replay.servers:
        tier = truth[server.deployment]
        assert server.input_usd_per_token * 1e6 == pytest.approx(tier.input_usd_per_million, rel=0.02)
        assert server.output_usd_per_token * 1e6 == pytest.approx(tier.output_usd_per_million, rel=0.02)


@pytest.mark.parametrize("streamed", [True, False])
def test_the_simulation_of_the_log_repeats_its_latencies(tmp_path, streamed):
    checked = Replay(
        read_spend_logs(write(tmp_path / "log.jsonl", rows(streamed=streamed))).calls, QUALITY
    ).check()
    whole = checked[0]
    assert whole.median_error < 0.1
    assert whole.simulated_mean_e2e_s == pytest.approx(whole.logged_mean_e2e_s, rel=0.1)


def test_a_server_that_was_measured_runs_as_measured(replay):
    slow = Hardware(((1, 1.0), (2048, 30.0)), 0.0, 1_000_000)
    measured = Calibrated(slow, 0.0, LatencyPrior(1.0, 1.0, 0.01, 0.01, 256.0))
    changes = [
        Change(),
        Change(measured={"qwen2.5-7b-1": measured}),
        Change(measured={"qwen2.5-7b": measured}),
    ]
    before, one, model = (replay.run(["round-robin"], change)[0].e2e_s.mean() for change in changes)
    assert before < one < model


def test_a_deployment_with_few_calls_takes_the_shape_of_its_model(log):
    calls = read_spend_logs(log).calls
    few = [call for call in calls if call.deployment == "qwen2.5-7b-1"][:5]
    rest = [call for call in calls if call.deployment != "qwen2.5-7b-1"]
    servers = {s.deployment: s for s in fit(sorted(few + rest, key=lambda call: call.start_s)).servers}
    assert servers["qwen2.5-7b-1"].origin == "calls of the model"
    assert servers["qwen2.5-7b-1"].tpot_s == pytest.approx(servers["qwen2.5-7b-2"].tpot_s, rel=0.1)


def test_as_logged_costs_what_was_logged(replay):
    (run,) = replay.run(["as-logged"])
    assert run.cost_usd.sum() == pytest.approx(sum(call.cost_usd for call in replay.calls), rel=0.02)


def test_every_policy_answers_every_call(replay):
    for run in replay.run(["routebalance:balanced", "litellm:least-busy", "jsq"]):
        assert run.failed == 0
        assert run.e2e_s.size == len(replay.calls)


def test_the_cost_preset_is_cheaper_than_what_was_logged(replay):
    logged, cheap = replay.run(["as-logged", "routebalance:cost"])
    assert cheap.cost_usd.sum() < logged.cost_usd.sum()


def test_a_deployment_left_out_gets_nothing(replay):
    (run,) = replay.run(["jsq"], Change(without=["qwen2.5-72b-1"]))
    assert "qwen2.5-72b-1" not in run.tiers
    assert run.e2e_s.size == len(replay.calls)


def test_a_changed_price_is_paid(replay):
    free = dict.fromkeys(QUALITY, (0.0, 0.0))
    (run,) = replay.run(["jsq"], Change(prices=free))
    assert not run.cost_usd.any()


def test_more_load_takes_longer(replay):
    (calm,) = replay.run(["jsq"])
    (hasty,) = replay.run(["jsq"], Change(load=4.0))
    assert hasty.e2e_s.mean() > calm.e2e_s.mean()
    assert hasty.sim_s < calm.sim_s


def test_quality_is_what_is_known_of_the_model(replay):
    (run,) = replay.run(["as-logged"])
    told = [QUALITY[call.model] for call in replay.calls]
    assert np.allclose(run.quality, told)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--without", "nobody"], "nobody"),
        (["--price", "nobody=1,1"], "nobody"),
        (["--price", "qwen=1"], "IN,OUT"),
        (["--quality", "nobody=0.5"], "nobody"),
        (["--quality", "m=2"], "from 0 to 1"),
        (["--policy", "fastest"], "unknown policy 'fastest'"),
        (["--policy", "classifier+jsq"], "graded answers"),
        (["--policy", "as-logged", "--without", "qwen2.5-3b-1"], "needs every deployment"),
    ],
)
def test_what_cannot_be_is_named(log, options, said):
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", log, "--quiet", *options])
    assert result.exit_code == 1
    assert said in result.output


def test_an_empty_log_is_named(tmp_path):
    with pytest.raises(ValueError, match="none of 0 calls"):
        Replay(read_spend_logs(write(tmp_path / "log.jsonl", [])).calls)


def test_the_command_prints_one_document(log):
    options = ["--policy", "as-logged", "--policy", "routebalance:latency", "--json", "--quiet"]
    result = CliRunner().invoke(main, ["replay", "--from-spend-logs", log, *options])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["replayed_calls"] == 600
    assert document["fit"][0]["deployment"] == "all"
    assert [run["policy"] for run in document["runs"]] == ["as-logged", "routebalance:latency"]
