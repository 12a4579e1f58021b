"""Latency forecasts on the simulated cluster under changing load: `routebalance bench latency` in small."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.bench.latency import CLOSE, SLOWER, WARM, simulate
from rb_litellm.cli import main
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.sim.engine import Incident
from rb_litellm.sim.servers.cluster import Cluster, Tier
from rb_litellm.sim.servers.instance import Hardware


class HostedApi(Tier):
    """Known to us as a hosted API is: by name only, so that it starts from the table's prior."""

    def prior(self):
        return latency_prior(self.model, hosted=True)


def hosted(ttft_s, tpot_s):
    """Two deployments of an API that is far away and as fast as ever, whatever we send."""
    flat = Hardware(((1, tpot_s), (100_000, tpot_s)), 0.0, 10**9, 10_000, 100_000)
    return Cluster(
        "hosted",
        (HostedApi("api", "some-api", 2, flat, 1.0, 1.0, 0.8, 150.0, network_s=(ttft_s - tpot_s) / 2.0),),
    )


def answers_before(found, deployment, since_s=0.0):
    """Requests of the deployment sent since then, and how many of these were answered before each."""
    own = np.flatnonzero((found.deployment == deployment) & (found.sent_s >= since_s))
    return own, np.searchsorted(np.sort(found.sent_s[own] + found.e2e_s[own]), found.sent_s[own])


@pytest.mark.parametrize("process", ["square:0.3,1.7", "ramp:0.1,1.9"])
def test_after_200_requests_forecasts_are_close(process):
    found = simulate(process, rate=20.0, seed=7, count=3600)
    warm = found.nth >= WARM
    assert warm.sum() > 500
    assert found.error("e2e")[warm].mean() <= 0.15
    assert found.error("ttft")[warm].mean() <= 0.30


def test_ttft_is_forecast_with_the_moment_within_an_iteration():
    found = simulate("square:0.3,1.7", rate=12.0, seed=5, count=4200)
    warm = found.nth >= WARM
    error, idle = found.error("ttft"), warm & (found.features[:, 0] == 0)
    without = found.ttft_error_without_moment[warm].mean()
    assert without > 0.09
    assert error[warm].mean() <= 0.7 * without
    assert idle.sum() > 50
    assert error[idle].mean() <= 0.08


def test_the_first_dozen_requests_are_forecast_too():
    found = simulate("square:0.3,1.7", rate=20.0, seed=8, count=400)
    assert found.error("e2e")[found.nth < 12].mean() <= 0.15


def test_a_server_turned_three_times_slower_is_followed_within_thirty_answers():
    found = simulate(
        "square:0.3,1.7", rate=12.0, seed=9, count=1800, incidents=[Incident(0, 60.0, float("inf"), SLOWER)]
    )
    own, answers = answers_before(found, 0, since_s=60.0)
    following = own[(answers >= 30) & (answers < 50)]
    assert following.size > 10
    assert np.median(found.error("e2e")[following]) <= 0.25


@pytest.mark.parametrize(
    "number", [0, 12], ids=["a small model", "the largest, whose answers take half a minute"]
)
def test_after_thirty_requests_sent_to_a_slowed_server_forecasts_are_right_again(number):
    start_s = 60.0
    found = simulate(
        "square:0.3,1.7", 30.0, seed=9, count=3000, incidents=[Incident(number, start_s, math.inf, SLOWER)]
    )
    own = np.flatnonzero((found.deployment == number) & (found.sent_s >= start_s))
    error = found.error("e2e")[own]
    assert min(np.median(error[sent : sent + 10]) for sent in range(31)) <= CLOSE


@pytest.mark.parametrize("number", [0, 12])
def test_a_server_that_is_fast_again_is_followed_too(number):
    found = simulate(
        "square:0.3,1.7", 30.0, seed=9, count=3000, incidents=[Incident(number, 30.0, 60.0, SLOWER)]
    )
    own = np.flatnonzero((found.deployment == number) & (found.sent_s >= 60.0))
    assert np.median(found.error("e2e")[own[20:60]]) <= CLOSE


@pytest.mark.parametrize(("ttft_s", "tpot_s"), [(0.8, 0.020), (1.5, 0.008)])
@pytest.mark.parametrize("rate", [4.0, 40.0])
def test_a_hosted_api_is_known_within_two_dozen_answers_and_does_not_seem_slower_under_load(
    ttft_s, tpot_s, rate
):
    found = simulate("square:0.3,1.7", rate, seed=3, count=1000, cluster=hosted(ttft_s, tpot_s))
    for deployment in (0, 1):
        own, answers = answers_before(found, deployment)
        known = answers >= 24
        assert known.sum() > 200
        # A long answer that is overdue makes its deployment look slow for a moment: one request in a hundred.
        assert np.percentile(found.error("e2e")[own[known]], 95) <= 0.10
        assert np.percentile(found.error("ttft")[own[known]], 95) <= 0.10
        open_then = np.arange(own.size) - answers
        few, many = np.percentile(open_then[known], [10, 90])
        assert many > 2 * few
        busy = found.predicted_ttft_s[own[known & (open_then >= many)]]
        quiet = found.predicted_ttft_s[own[known & (open_then <= few)]]
        assert np.median(busy) / np.median(quiet) == pytest.approx(1.0, abs=0.02)


def test_the_command_prints_errors_of_both_models_and_how_soon_slow_servers_are_followed():
    result = CliRunner().invoke(
        main, ["bench", "latency", "--json", "--quiet", "--rate", "20", "--requests", "600", "--seed", "1"]
    )
    told = json.loads(result.stdout)
    assert {(row["arrivals"], row["model"]) for row in told["rows"]} == {
        (process, model) for process in ("square:0.3,1.7", "ramp:0.1,1.9") for model in ("learned", "static")
    }
    assert told["followed"]["servers"] == 4
    assert all(row.keys() >= {"ttft_mape_without_moment", "e2e_mape_at_mean_length"} for row in told["rows"])


def test_a_boosted_head_is_measured_on_seeds_that_it_was_not_trained_on():
    arguments = ["bench", "latency", "--head", "--json", "--quiet", "--rate", "30", "--requests", "3000"]
    refused = CliRunner().invoke(main, [*arguments, "--seed", "0"])
    assert refused.exit_code == 2
    told = json.loads(CliRunner().invoke(main, [*arguments, "--seed", "0", "--seed", "1"]).stdout)
    for row in told["rows"]:
        assert row["requests"] > 0
        assert {"e2e_mape_online", "e2e_mape_head", "ttft_mape_online", "ttft_mape_head"} <= row.keys()
