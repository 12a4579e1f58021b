"""A trace of shared prefixes: its requests and servers, the router that follows prefixes, the experiment."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.cli.measure.experiment import experiment
from rb_litellm.core.servers.prefix_memory import block_names
from rb_litellm.core.types import Prompt
from rb_litellm.sim.experiments.loads.mooncake import OURS, PLAIN, SAVING
from rb_litellm.sim.policies.baseline_policies import PrefixGate
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS
from rb_litellm.sim.workloads import sharing
from rb_litellm.sim.workloads.workload import Request


def row(number: int, blocks: list[int]) -> dict[str, object]:
    tokens = 512 * len(blocks) - 12
    return {"arrival_s": number / 5, "input_tokens": tokens, "output_tokens": 20, "prefix_blocks": blocks}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Forty requests of eight users, each of whom goes on where he was."""
    rows = [row(n, [100 * (n % 8) + part for part in range(4 + n // 8)]) for n in range(40)]
    file = tmp_path / "trace.jsonl.gz"
    with gzip.open(file, "wt") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in rows)
    return file


def asked(number: int, prefix: tuple[int, ...]) -> Request:
    return Request(number, 0.0, Prompt(), np.array([0.5]), np.array([10.0]), prefix=prefix)


def test_prompts_that_share_blocks_share_names_and_text(trace: Path) -> None:
    first, *_, later = (r for r in sharing.requests(trace, 40) if r.number % 8 == 0)
    assert later.prefix[: len(first.prefix)] == first.prefix
    assert later.prompt.text.startswith(first.prompt.text)
    assert len(first.prefix) == first.prompt.input_tokens // BLOCK_TOKENS
    names = block_names(first.prompt.text)
    assert block_names(later.prompt.text)[: len(names)] == names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no JSON", "Expecting value"),
        ("{}", "arrival_s is None; allowed is a number, in seconds"),
        (json.dumps(row(0, [])), r"trace\.jsonl:1: input_tokens is -12; allowed is a whole number from 1"),
        (json.dumps({**row(0, [1]), "arrival_s": float("nan")}), r"jsonl:1: arrival_s is nan; allowed"),
        (json.dumps({**row(0, [1]), "prefix_blocks": None}), r"jsonl:1: prefix_blocks is None; allowed"),
        ("[" * 100_000, r"trace\.jsonl:1: cannot be read"),
    ],
)
def test_a_trace_that_cannot_be_read_says_why(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        sharing.requests(tmp_path / "trace.jsonl", 10)


def test_the_longest_prefix_is_followed() -> None:
    router = PrefixGate(3, gate=4)
    (chosen,) = router.decide(0, [asked(0, (1, 2, 3))], 0.0)
    router.closed(0, asked(0, ()), chosen, 1.0, 10)
    assert router.decide(0, [asked(1, (1, 2, 3, 4))], 1.0) == [chosen]


def test_beyond_the_gate_a_prefix_is_not_followed() -> None:
    router = PrefixGate(2, gate=1)
    found = router.decide(0, [asked(n, (1, 2, 3)) for n in range(6)], 0.0)
    assert abs(found.count(0) - found.count(1)) <= 2


def test_the_experiment_says_for_each_other_router_whether_it_is_ahead(trace: Path) -> None:
    result = CliRunner().invoke(
        experiment, ["mooncake", "--trace", str(trace), "--jobs", "2", "--json", "--quiet"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    by_name = {one["policy"]: one for one in told["policies"]}
    assert by_name["prefix-gate:4"]["cached_share"] > 0.3
    assert by_name["routebalance-affinity"]["cached_share"] > by_name["litellm:least-busy"]["cached_share"]
    assert len(told["claims"]) == len(by_name) - len((OURS, SAVING, PLAIN))


def test_the_experiment_needs_its_trace() -> None:
    result = CliRunner().invoke(experiment, ["mooncake"])
    assert result.exit_code == 2
    assert "Missing option '--trace'" in result.output
