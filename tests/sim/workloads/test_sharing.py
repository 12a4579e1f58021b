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
from rb_litellm.sim.experiments.loads.mooncake import (
    MOVED_S,
    OURS,
    PLAIN,
    SAVING,
    Measured,
    _moved,
    blocks,
)
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
        experiment,
        ["mooncake", "--trace", str(trace), "--seeds", "2", "--jobs", "2", "--json", "--quiet"],
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    by_name = {one["policy"]: one for one in told["policies"]}
    assert by_name["prefix-gate:4"]["cached_share"] > 0.3
    assert by_name["routebalance-affinity"]["cached_share"] > by_name["litellm:least-busy"]["cached_share"]
    assert len(told["claims"]) == 2 * (len(by_name) - len((OURS, SAVING, PLAIN)))
    assert {(one["policy"], one["seed"]) for one in told["policies"]} == {
        (name, seed) for name in by_name for seed in (0, 1)
    }


def measured(policy: str, seed: int, ttft_s: float, usd: float) -> Measured:
    return Measured(policy, ttft_s, 2.0 * ttft_s, 5.0, usd, 0.2, 0, None, seed)


def test_a_router_is_cheaper_where_that_stands_out_of_what_the_seeds_make_of_it() -> None:
    found = []
    for seed, noise in enumerate((0.0, 0.03, -0.02)):
        found.append(measured(OURS, seed, 0.40, 6.05 + noise))
        found.append(measured(SAVING, seed, 0.40, 6.00 + noise))
        found.append(measured("dearer", seed, 0.45, 6.10 + noise))
        found.append(measured("as dear", seed, 0.45, 6.05 - noise))
    (block,) = blocks(found)
    holds = {claim["claim"]: claim["holds"] for claim in block.as_json()["claims"]}
    assert holds == {
        f"{ours}: lower median TTFT, and cheaper, than {theirs}": (ours, theirs) != (OURS, "as dear")
        for ours in (OURS, SAVING)
        for theirs in ("dearer", "as dear")
    }


def test_each_further_seed_moves_every_arrival_a_little_and_changes_nothing_else(trace: Path) -> None:
    asked = sharing.requests(trace, 1_000)
    assert _moved(asked, 0) is asked
    moved = {request.number: request for request in _moved(asked, 1)}
    for request in asked:
        later = moved[request.number]
        assert 0.0 <= later.arrival_s - request.arrival_s <= MOVED_S
        assert (later.prompt, later.prefix) == (request.prompt, request.prefix)


def test_the_experiment_needs_its_trace() -> None:
    result = CliRunner().invoke(experiment, ["mooncake"])
    assert result.exit_code == 2
    assert "Missing option '--trace'" in result.output
