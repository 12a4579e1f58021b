"""Agents' loops in the balancer: they begin where there is room for them, and stay while that is best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.balancer import RoutingRequest
from rb_litellm.core.compiled.in_use import IN_USE
from rb_litellm.core.servers.threads import thread_rule
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.compiled import loading
from tests.test_balancer import Bench, chosen, deployment, request

RULE = thread_rule(300.0)


def call(thread: str, tokens: int, *servers: str) -> RoutingRequest:
    asked = request(*(deployment(server) for server in servers))
    return replace(
        asked, prompt=Prompt(input_tokens=tokens, tools=3), affinity=RULE, thread=thread, exploration=None
    )


def test_a_loop_stays_where_its_cache_is():
    bench = Bench()
    (first,) = chosen(bench.decide(call("t", 20_000, "a", "b")))
    for n in range(20):
        assert chosen(bench.decide(call("t", 20_000 + 400 * n, "a", "b"))) == [first]


def test_a_loop_goes_to_the_one_that_is_left_and_stays_there():
    bench = Bench()
    (first,) = chosen(bench.decide(call("t", 20_000, "a", "b")))
    (other,) = {"a", "b"} - {first}
    assert chosen(bench.decide(call("t", 20_400, other))) == [other]
    assert chosen(bench.decide(call("t", 20_800, "a", "b"))) == [other]


def test_loops_that_begin_are_spread_by_the_load_that_each_is_going_to_be():
    bench = Bench()
    found = [chosen(bench.decide(call(f"t{n}", 2_000, "a", "b")))[0] for n in range(20)]
    assert abs(found.count("a") - found.count("b")) <= 2


def test_what_is_told_of_a_call_is_about_this_call():
    bench = Bench()
    (assignment,) = bench.decide(call("t", 20_000, "a", "b"))
    (later,) = bench.decide(call("t", 20_400, "a", "b"))
    times = later.decision.breakdown.predictions.times
    row = later.decision.index
    assert later.decision.prediction.e2e_s == times.e2e_s[row]
    assert later.decision.prediction.ttft_s < assignment.decision.prediction.ttft_s
    assert np.isfinite(later.decision.breakdown.scores).all()


@pytest.mark.skipif(not loading.available(), reason="needs numba: the source takes arrays of any layout")
def test_compiled_loops_take_the_calls_of_a_loop():
    failures: list[Exception] = []
    IN_USE.use(loading.load(), failures.append)
    try:
        bench = Bench()
        bench.decide(call("t", 20_000, "a", "b"))
        bench.decide(call("t", 20_400, "a", "b"), call("u", 900, "a", "b"), request(deployment("a")))
        assert failures == []
    finally:
        IN_USE.loops = None
