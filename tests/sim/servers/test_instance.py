"""The server model: what a lone request takes, how it fills up, and that nothing is lost or made up."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.sim.servers.cluster import _BATCH, _MEASURED_MS, PAPER_CLUSTER, Tier
from rb_litellm.sim.servers.instance import Hardware, Instance, Job

SMALL = Hardware(((1, 0.01), (128, 0.05)), 1e-6, kv_tokens=400, max_num_seqs=4, max_batched_tokens=64)


def drain(instance: Instance, max_steps: int = 1) -> tuple[float, dict[int, int]]:
    """Run until idle; total time and tokens written per job tag."""
    clock, written = 0.0, {}
    while (took := instance.begin(max_steps)) is not None:
        clock += took
        for job, tokens in instance.finish():
            written[job.tag] = written.get(job.tag, 0) + tokens
    return clock, written


@pytest.mark.parametrize("tier", PAPER_CLUSTER.tiers, ids=lambda t: t.name)
def test_lone_request_decodes_at_the_tiers_time_per_token(tier: Tier) -> None:
    given_ms = {"paper-3b": 12.3, "paper-7b": 20.6, "paper-14b": 18.4, "paper-72b": 47.4}[tier.name]
    instance = Instance(tier.hardware)
    instance.add(Job(100, 300))
    first = instance.begin()
    instance.finish()
    rest, _ = drain(instance)
    assert first is not None
    assert rest / 299 == pytest.approx(given_ms / 1000, rel=0.01)


@pytest.mark.parametrize("tier", PAPER_CLUSTER.tiers, ids=lambda t: t.name)
def test_a_fuller_batch_is_slower_per_token_and_faster_in_total(tier: Tier) -> None:
    def total(count: int) -> float:
        instance = Instance(tier.hardware)
        for tag in range(count):
            instance.add(Job(50, 200, tag))
        return drain(instance, 1000)[0]

    one, many = total(1), total(64)
    assert one < many < 16 * one


def test_paper_cluster_has_thirteen_servers() -> None:
    assert sum(t.instances for t in PAPER_CLUSTER.tiers) == 13


def test_measured_curves_are_those_of_the_public_table(shared_data: Callable[[str], Path]) -> None:
    table = {}
    with shared_data("gpu_iteration_ms.csv").open() as file:
        for row in csv.DictReader(file):
            key = f"{row['gpu']},{row['model']},{row['tensor_parallel']}"
            table[key, int(row["batch_tokens"])] = float(row["iteration_ms"])
    for key, measured in _MEASURED_MS.items():
        assert measured == tuple(table[key, tokens] for tokens in _BATCH)


def test_prompt_longer_than_the_budget_is_prefilled_in_chunks_beside_decoding() -> None:
    instance = Instance(SMALL)
    instance.add(Job(10, 50, "short"))
    instance.begin()
    instance.finish()
    instance.add(Job(150, 1, "long"))
    wrote = []
    for _ in range(3):
        instance.begin()
        wrote.append([job.tag for job, _ in instance.finish()])
    assert wrote == [["short"], ["short"], ["short", "long"]]


def test_requests_beyond_the_slots_wait_in_order() -> None:
    instance = Instance(SMALL)
    for tag in range(6):
        instance.add(Job(5, 10, tag))
    instance.begin()
    assert [job.tag for job in instance.running] == [0, 1, 2, 3]
    assert [job.tag for job in instance.waiting] == [4, 5]


def test_full_cache_preempts_the_latest_and_it_still_finishes() -> None:
    instance = Instance(SMALL)
    for tag in range(4):
        instance.add(Job(60, 120, tag))
    _, written = drain(instance)
    assert instance.preemptions > 0
    assert written == dict.fromkeys(range(4), 120)
    assert instance.cached_tokens == 0


def test_cancelled_request_frees_its_slot_and_writes_no_more() -> None:
    instance = Instance(SMALL)
    jobs = [Job(5, 50, tag) for tag in range(5)]
    for job in jobs:
        instance.add(job)
    instance.begin()
    instance.finish()
    instance.begin()
    instance.cancel(jobs[0])
    assert jobs[0] not in [job for job, _ in instance.finish()]
    instance.begin()
    assert jobs[4] in instance.running


def test_cut_ends_at_the_next_iteration_boundary() -> None:
    step = Hardware(((1, 0.01), (128, 0.05)), 0.0, kv_tokens=10_000)
    instance = Instance(step)
    instance.add(Job(1, 100))
    instance.begin()
    instance.finish()
    assert instance.begin(50) == pytest.approx(0.5)
    assert instance.cut(0.123) == pytest.approx(0.13)
    assert instance.finish()[0][1] == 13


def test_request_that_can_never_fit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="KV cache of 400 tokens"):
        Instance(SMALL).add(Job(390, 20))


jobs = st.lists(st.tuples(st.integers(1, 150), st.integers(1, 80)), min_size=1, max_size=12)


@given(jobs, st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_every_token_is_written_once_and_nothing_stays(shapes: list[tuple[int, int]], max_steps: int) -> None:
    instance = Instance(SMALL)
    for tag, (n_in, n_out) in enumerate(shapes):
        instance.add(Job(n_in, n_out, tag))
    _, written = drain(instance, max_steps)
    assert written == {tag: n_out for tag, (_, n_out) in enumerate(shapes)}
    assert len(instance) == 0
    assert instance.cached_tokens == 0


@given(jobs)
@settings(max_examples=40, deadline=None)
def test_several_iterations_at_once_take_the_same_time(shapes: list[tuple[int, int]]) -> None:
    def total(max_steps: int) -> float:
        instance = Instance(SMALL)
        for n_in, n_out in shapes:
            instance.add(Job(n_in, n_out))
        return drain(instance, max_steps)[0]

    assert total(1000) == pytest.approx(total(1), rel=1e-9)


def test_what_is_written_is_known_while_many_iterations_run_as_one() -> None:
    instance = Instance(SMALL)
    first, second = Job(5, 50), Job(5, 50)
    instance.add(first)
    instance.begin()
    instance.finish()
    took = instance.begin(1000)
    assert took is not None
    told = [instance.steps_done(first, took * share) for share in (-0.1, 0.0, 0.5, 1.0, 2.0)]
    assert told == [0, 0, 24, 49, 49]
    instance.add(second)
    assert instance.steps_done(second, took) == 0
