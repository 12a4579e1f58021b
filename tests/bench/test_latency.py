"""Latency forecasts on the simulated cluster under changing load: `routebalance bench latency` in small."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.bench.latency import SLOWER, WARM, simulate
from rb_litellm.cli import main
from rb_litellm.sim.engine import Incident


@pytest.mark.parametrize("process", ["square:0.3,1.7", "ramp:0.1,1.9"])
def test_after_200_requests_forecasts_are_close(process):
    found = simulate(process, rate=20.0, seed=7, count=3600)
    warm = found.nth >= WARM
    assert warm.sum() > 500
    assert found.error("e2e")[warm].mean() <= 0.15
    assert found.error("ttft")[warm].mean() <= 0.30


def test_the_first_dozen_requests_are_forecast_too():
    found = simulate("square:0.3,1.7", rate=20.0, seed=8, count=400)
    assert found.error("e2e")[found.nth < 12].mean() <= 0.15


def test_a_server_turned_three_times_slower_is_followed_within_thirty_answers():
    found = simulate(
        "square:0.3,1.7", rate=12.0, seed=9, count=1800, incidents=[Incident(0, 60.0, float("inf"), SLOWER)]
    )
    own = np.flatnonzero((found.deployment == 0) & (found.sent_s >= 60.0))
    answers = np.searchsorted(np.sort(found.sent_s[own] + found.e2e_s[own]), found.sent_s[own])
    following = own[(answers >= 30) & (answers < 50)]
    assert following.size > 10
    assert np.median(found.error("e2e")[following]) <= 0.25


def test_the_command_prints_errors_of_both_models_and_how_soon_slow_servers_are_followed():
    result = CliRunner().invoke(
        main, ["bench", "latency", "--json", "--quiet", "--rate", "20", "--requests", "600", "--seed", "1"]
    )
    told = json.loads(result.stdout)
    assert {(row["arrivals"], row["model"]) for row in told["rows"]} == {
        (process, model) for process in ("square:0.3,1.7", "ramp:0.1,1.9") for model in ("learned", "static")
    }
    assert told["followed"]["servers"] == 4
