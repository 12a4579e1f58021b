"""Agents' loops: their prefix grows, each call waits for the last one, and the experiment says who leads."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.cli.measure.experiment import experiment
from rb_litellm.core.types import Prompt
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.experiments.features.agents import OURS, SCENES, _over_seeds
from rb_litellm.sim.policies.baseline_policies import PrefixGate, SessionSticky
from rb_litellm.sim.workloads import sharing
from rb_litellm.sim.workloads.agent_loops import FEWEST_CALLS, MOST_CALLS, AgentLoops
from rb_litellm.sim.workloads.workload import Request


def served(turns: int = 2) -> tuple[AgentLoops, list[list[Served]]]:
    """The calls of each turn, in order."""
    loops = AgentLoops(rate=1.0, turns=turns)
    all_ = Simulation(sharing.cluster(), SessionSticky(4), loops.first(), follow=loops.follow).run()
    return loops, [[s for s in all_ if s.request.conversation == turn] for turn in range(turns)]


def test_each_call_goes_on_from_the_one_before() -> None:
    loops, turns = served()
    assert len(loops.lasted_s) == len(turns)
    for calls in turns:
        assert FEWEST_CALLS <= len(calls) <= MOST_CALLS
        for one, next_ in pairwise(calls):
            assert next_.request.arrival_s >= one.request.arrival_s + one.e2e_s
            assert next_.request.prompt.text.startswith(one.request.prompt.text)
            assert next_.request.prefix[: len(one.request.leaves)] == one.request.leaves
            assert next_.request.prompt.input_tokens == len(next_.request.prompt.text)


def test_a_server_that_has_a_loop_computes_only_what_is_new() -> None:
    _, turns = served()
    for one, next_ in pairwise(turns[0]):
        assert next_.cached_tokens >= one.request.prompt.input_tokens - 64


def test_what_is_said_does_not_depend_on_the_router() -> None:
    said = []
    for gate in (0, 8):
        loops = AgentLoops(rate=1.0, turns=1)
        router = PrefixGate(sharing.SERVERS, gate)
        calls = Simulation(sharing.cluster(), router, loops.first(), follow=loops.follow).run()
        said.append([(s.request.prompt.input_tokens, s.output_tokens) for s in calls])
    assert said[0] == said[1]


def call(number: int, conversation: int) -> Request:
    return Request(number, 0.0, Prompt(), np.array([0.5]), np.array([1.0]), conversation=conversation)


def test_a_session_stays_until_its_server_fails() -> None:
    router = SessionSticky(2)
    (first,) = router.decide(0, [call(0, 7)], 0.0)
    assert router.decide(0, [call(1, 7), call(2, 7)], 0.0) == [first, first]
    router.closed(0, call(0, 7), first, 1.0, 0)
    assert router.decide(0, [call(3, 7)], 1.0) == [1 - first]


def test_a_session_leaves_a_server_that_the_proxy_has_taken_away():
    router = SessionSticky(2)
    (first,) = router.decide(0, [call(0, 7)], 0.0)
    router.excluded = lambda request, now: (first,)
    assert router.decide(0, [call(1, 7)], 1.0) == [1 - first]


@pytest.mark.parametrize("name", ["session-sticky", "sticky-until-saturated", OURS])
def test_turns_come_to_their_end_though_a_server_goes_down(name: str) -> None:
    """Without a cooldown a policy that counts open requests sends a dead server all retries."""
    found = _over_seeds((0,), ("one server down", name), turns=3)
    assert found.unfinished == 0


def test_the_experiment_says_in_each_scene_whether_it_is_ahead() -> None:
    asked = ["agents", "--requests", "100", "--seeds", "1", "--json", "--quiet"]
    result = CliRunner().invoke(experiment, asked)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert {row["scene"] for row in told["policies"]} == set(SCENES)
    assert {row["policy"] for row in told["policies"]} > {OURS, "session-sticky"}
    assert all(row["unfinished"] == 0 for row in told["policies"])
    assert len(told["claims"]) == 2 * len(SCENES)
