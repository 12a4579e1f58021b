"""A real proxy under a random mix of all that can happen to requests: nothing that was counted stays counted.

The same code as `routebalance bench faults`, which sends 10,000 requests; here it is a few hundred, so
that it fits into every run.
"""

from __future__ import annotations

from typing import Any

import pytest

from rb_litellm.bench.conservation import run
from rb_litellm.bench.real.request_mix import KINDS

pytestmark = pytest.mark.slow
REQUESTS = 400


@pytest.fixture(scope="module", params=[False, True], ids=["clients-are-awaited", "calls-are-cancelled"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """LiteLLM finishes the calls of clients that have left, or cancels them; a worker is killed once."""
    return run(tmp_path_factory.mktemp("conservation"), REQUESTS, seed=1, cancels=request.param)


def test_nothing_is_counted_any_more_in_any_worker_or_in_redis(report: dict[str, Any]) -> None:
    assert report["open_after"] == 0


def test_no_count_was_ever_negative(report: dict[str, Any]) -> None:
    assert report["min_seen"] == 0


def test_no_lease_had_to_help_and_nothing_failed_inside(report: dict[str, Any]) -> None:
    assert not {"lease", "bound"} & set(report["closed_by"])
    assert report["failures_inside"] == {}


def test_the_others_forget_a_killed_worker_within_its_ttl_and_an_interval(report: dict[str, Any]) -> None:
    # By the clocks of Redis and of the exchange; the probes that see it look ten times a second.
    assert report["kill9_heal_s"] <= report["kill9_allowed_s"] + 1.0


def test_every_kind_of_request_came_and_ended_as_it_should(report: dict[str, Any]) -> None:
    assert set(report["by_outcome"]) == set(KINDS)
    odd = {what: n for what, n in report["unexpected"].items() if "Error" not in what}
    # The rest are connections that the killed worker broke. On a busy machine an answer may come before its
    # timeout is noticed.
    assert odd.keys() <= {"timeout: 200"}
