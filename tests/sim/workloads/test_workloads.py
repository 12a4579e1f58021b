"""Workloads beside single prompts: traces with their own lengths, and conversations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies.baseline_policies import RoundRobin
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS
from rb_litellm.sim.workloads.conversations import SYSTEM_TOKENS, conversations
from rb_litellm.sim.workloads.workload import arrivals, requests, trace
from tests.sim.corpus import TEST

TRACE = "arrival_s,input_tokens,output_tokens\n5.0,100,40\n3.0,10,20\n9.0,30,60\n"


def test_trace_is_stretched_to_the_rate_and_brings_its_lengths(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    times, lengths = trace(file)
    assert times == [0.0, 2.0, 6.0]
    asked = requests(TEST, arrivals(str(file), 0.5, 0), 3, 0, lengths)
    assert [r.arrival_s for r in asked] == pytest.approx([0.0, 4.0 / 3.0, 4.0])
    assert [r.prompt.input_tokens for r in asked] == [10, 100, 30]
    assert [float(r.output_tokens.mean()) for r in asked] == pytest.approx([20, 40, 60], rel=0.05)


@pytest.mark.parametrize(
    ("text", "what"),
    [("time\n1\n", "arrival_s"), ("arrival_s\nx\n", "arrival_s"), ("arrival_s\n1\n", "fewer than two")],
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=what):
        trace(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bom.csv", "\ufeff" + TRACE.replace("\n", "\r\n")),
        ("sheet.csv", TRACE.replace(",", ";")),
        ("rows.jsonl", '{"arrival_s": 5, "input_tokens": 100, "output_tokens": 40}\n'
         '{"arrival_s": 3, "input_tokens": 10, "output_tokens": 20}\n'
         '{"arrival_s": 9, "input_tokens": 30, "output_tokens": 60}\n'),
    ],
)  # fmt: skip
def test_a_trace_may_be_of_any_form_that_data_may_have(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert trace(tmp_path / name) == ([0.0, 2.0, 6.0], [(10, 20), (100, 40), (30, 60)])


@pytest.mark.parametrize("wrong", ["nan,1,1", "4.0,-1,1", "4.0,1,90000000", "4.0,1,", "4.0,1,x"])
def test_one_wrong_row_of_a_trace_is_left_out_and_named(
    tmp_path: Path, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(f"{TRACE}{wrong}\n")
    assert trace(file)[0] == [0.0, 2.0, 6.0]
    assert f"{file}:5: " in caplog.text


def test_a_prompt_that_no_server_could_hold_ends_no_run(caplog: pytest.LogCaptureFixture) -> None:
    """Of a hundred good prompts and one of half a megabyte, the hundred are simulated."""
    long = replace(TEST, prompts=(TEST.prompts[0]._replace(input_tokens=130_000), *TEST.prompts[1:]))
    assert long.fitting(PAPER_CLUSTER).ids == TEST.ids[1:]
    assert f"1 of {len(TEST)} prompts are left out" in caplog.text
    assert TEST.ids[0] in caplog.text
    assert TEST.fitting(PAPER_CLUSTER) is TEST


def test_turns_go_on_where_the_last_one_ended() -> None:
    asked = conversations(TEST, 20.0, 400, 3)
    assert [r.arrival_s for r in asked] == sorted(r.arrival_s for r in asked)
    seen: dict[int, tuple[str, tuple[int, ...]]] = {}
    later = 0
    for request in asked:
        assert request.conversation is not None
        assert len(request.prefix) == request.prompt.input_tokens // BLOCK_TOKENS
        if request.conversation in seen:
            text, leaves = seen[request.conversation]
            assert request.prompt.text.startswith(text)
            assert request.prefix[: len(leaves)] == leaves
            later += 1
        seen[request.conversation] = (request.prompt.text, request.leaves)
    assert later > 100


def test_conversations_share_system_prompts() -> None:
    firsts = [r for r in conversations(TEST, 20.0, 400, 3) if r.prompt.turns == 1]
    heads = {r.prefix[: SYSTEM_TOKENS // BLOCK_TOKENS] for r in firsts}
    assert 1 < len(heads) <= 8


def test_conversations_keep_the_rate_once_under_way() -> None:
    times = np.array([r.arrival_s for r in conversations(TEST, 20.0, 6000, 1)])
    settled = times[times > 150.0]
    assert (settled.size - 1) / (settled[-1] - settled[0]) == pytest.approx(20.0, rel=0.15)


def test_servers_keep_what_conversations_share() -> None:
    simulation = Simulation(PAPER_CLUSTER, RoundRobin(13), conversations(TEST, 20.0, 300, 0))
    assert not any(s.failed for s in simulation.run())
    assert all(len(instance.prefix_cache) for instance in simulation.instances)
