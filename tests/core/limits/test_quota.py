"""Quotas and failures: what they make of a deployment's time, and that they pass."""

import numpy as np
import pytest

from rb_litellm.core.limits.quota import Quotas

ROWS = np.array([0])


def quotas(per_s, seconds=120.0):
    made = Quotas()
    made.add()
    for n in range(round(per_s * seconds)):
        made.sent(0, n / per_s)
    return made


def test_without_a_known_quota_nothing_costs_more():
    assert quotas(10.0).factor(ROWS, 120.0)[0] == 1.0


def test_a_refusal_tells_the_limit_and_fewer_requests_are_cheap_again():
    made = quotas(2.0)
    made.refused(0, 120.0)
    assert made.factor(ROWS, 120.0)[0] > 3.0
    assert made.factor(ROWS, 150.0)[0] == 1.0


def test_a_limit_that_was_told_once_grows_out_of_the_way():
    made = quotas(2.0)
    made.refused(0, 120.0)
    for n in range(2400):
        made.sent(0, 120.0 + n / 2.0)
    assert made.factor(ROWS, 120.0 + 1200.0)[0] == 1.0


@pytest.mark.parametrize("prefix", ["x-ratelimit-", "llm_provider-x-ratelimit-"])
def test_headers_tell_what_is_left_for_a_minute(prefix):
    made = quotas(0.1)
    made.told(0, {prefix + "limit-requests": "100", prefix + "remaining-requests": "5"}, 120.0)
    assert made.factor(ROWS, 121.0)[0] > 3.0
    assert made.factor(ROWS, 181.0)[0] == 1.0


@pytest.mark.parametrize("value", ["", "many", None, "nan", "inf"])
def test_headers_that_say_nothing_are_passed_over(value):
    made = quotas(0.1)
    made.told(0, {"x-ratelimit-limit-requests": value, "x-ratelimit-remaining-requests": value}, 120.0)
    assert not made.any_known
