"""What is wrong with a deployment is said in the same words everywhere; what is not known is not told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rb_litellm.telemetry.records.decision import as_json
from rb_litellm.telemetry.records.headers import response_headers
from rb_litellm.telemetry.records.recorder import Recorder
from rb_litellm.telemetry.trouble import deployment_trouble, urgency
from tests.telemetry.decisions import SMALL, record

FINE: dict[str, Any] = {"answered": 20, "failed": 0, "last_error": None, "drift": {}, "slowdown": 1.0}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({}, []),
        ({"failed": 1}, []),
        ({"failed": 1, "failing": 1}, ["1 of the last 21 attempts failed"]),
        ({"failed": 1, "failing": 1, "answered": 0}, ["the last attempt failed"]),
        (
            {"failed": 10, "last_error": {"error": "APIConnectionError", "ago_s": 3.4}},
            ["10 of the last 30 attempts failed, the last one 3 s ago: APIConnectionError"],
        ),
        (
            {"cooldown": {"left_s": 4.0, "status": "500"}},
            ["LiteLLM keeps it out for 4 s more after 500"],
        ),
        ({"slowdown": 3.21}, ["3.2 times slower than predicted"]),
        ({"drift": {"time per output token": 2.5}}, ["time per output token is 2.5 times what is predicted"]),
    ],
)
def test_trouble_in_words(row: dict[str, Any], told: list[str]) -> None:
    assert deployment_trouble({**FINE, **row}) == told


def test_what_fails_is_listed_before_what_is_slow_and_that_before_what_drifts() -> None:
    drifts = {**FINE, "drift": {"time per output token": 2.5}}
    slow = {**FINE, "slowdown": 3.0, "drift": drifts["drift"]}
    failed = {**FINE, "failed": 10}
    out = {**drifts, "cooldown": {"left_s": 4.0}}
    failing = {**drifts, "failed": 1, "failing": 1}
    assert sorted([drifts, slow, failed, out, failing], key=urgency) == [out, failing, failed, slow, drifts]


def test_a_status_of_an_older_release_has_no_trouble() -> None:
    assert deployment_trouble({"id": "a"}) == []


def test_a_cost_by_an_unknown_price_is_no_header_and_told_as_unknown() -> None:
    known = record(Recorder(), SMALL)
    assert "x-routebalance-cost-usd" in response_headers(known)
    assert "price" not in as_json(known)
    unknown = replace(known, priced=False)
    assert "x-routebalance-cost-usd" not in response_headers(unknown)
    assert as_json(unknown)["price"] == "unknown"
