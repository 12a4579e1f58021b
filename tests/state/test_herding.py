"""Several workers do as well as one, because they see each other's load."""

import pytest

from rb_litellm.bench.workers import run


@pytest.fixture(scope="module")
def result():
    return run(requests=2500, seeds=(0, 1))


def row(rows, workers, gauges):
    return next(r for r in rows if (r["workers"], r["gauges"]) == (workers, gauges))


def test_four_workers_answer_as_fast_as_one(result):
    for rows in (result["rows"], result["near_saturation"]):
        assert row(rows, 4, True)["mean_e2e_s"] <= 1.05 * row(rows, 1, True)["mean_e2e_s"]


def test_no_deployment_of_a_tier_gets_much_more_than_its_share(result):
    assert row(result["rows"], 4, True)["max_share_ratio"] <= 1.2


def test_near_saturation_workers_that_do_not_hear_each_other_are_slower(result):
    rows = result["near_saturation"]
    # By how much is for `routebalance bench workers` to say: this is a short run.
    assert row(rows, 4, False)["mean_e2e_s"] > 1.01 * row(rows, 4, True)["mean_e2e_s"]
