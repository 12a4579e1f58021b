"""The model of the cluster itself: speed at low load, knee, capacity, and laws that must hold."""

from __future__ import annotations

import numpy as np

from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import Tier
from rb_litellm.sim.servers.instance import Instance, Job
from rb_litellm.sim.world import Run

RATES = (6.0, 30.0, 120.0, 240.0, 480.0)
BALANCED = "routebalance:balanced"
INPUT_TOKENS, OUTPUT_TOKENS = 70, 160
"""A request of the usual size."""
SPEED = 20.0
_STEPS = 1000


def runs(scale: Scale) -> list[Run]:
    """Rising loads until the cluster is full; as many seconds of each where the load is high."""
    return [
        Run(policy, rate, seed, max(scale.requests, int(10.0 * rate * scale.requests / 3534.0)), sample_s=0.1)
        for rate in RATES
        for seed in scale.seeds
        for policy in (BALANCED, "jsq")
    ]


def blocks(measured: Measured) -> list[Block]:
    """The tiers one by one, and the cluster as a whole."""
    return [_tiers(measured), _load(measured)]


def _tiers(measured: Measured) -> Block:
    rows, off = [], []
    for tier in measured.cluster.tiers:
        lone = time_per_token_s(tier, 1)
        off.append(abs(lone / tier.tpot_s - 1.0))
        rows.append(
            (
                tier.name,
                str(tier.instances),
                f"{1000 * tier.tpot_s:.1f}",
                *(f"{1000 * time_per_token_s(tier, batch):.1f}" for batch in (1, 16, 64, 256)),
                str(knee(tier)),
                f"{capacity(tier):.0f}",
                f"{capacity(tier) * tier.instances:.0f}",
            )
        )
    columns = ("tier", "servers", "told ms/token", "at batch 1", "16", "64", "256", "knee")
    return Block(
        Table(
            "Servers of each tier",
            (*columns, "requests/s a server", "of the tier"),
            tuple(rows),
            f"Milliseconds per output token of {INPUT_TOKENS} + {OUTPUT_TOKENS} tokens, all begun at once. "
            "Knee: the batch at which a token takes twice as long as alone. Requests/s: with a full queue.",
        ),
        (
            Claim(
                "at low load the time per token is the tier's, within 2%",
                f"at most {max(off):.1%} off",
                max(off) <= 0.02,
            ),
        ),
    )


def _load(measured: Measured) -> Block:
    rows = []
    worst = 0.0
    for policy in measured.policies():
        for rate in RATES:
            results = measured.results(policy, rate=rate)
            worst = max(worst, *(abs(_little(result) - 1.0) for result in results))
            rows.append(
                (
                    f"{policy} at {rate:g}/s",
                    measured.spread(policy, "requests_per_s", rate=rate).text(1),
                    measured.spread(policy, "mean_e2e_s", rate=rate).text(),
                    measured.spread(policy, "p95_ttft_s", rate=rate).text(),
                    measured.spread(policy, "failed", rate=rate).text(0),
                    measured.spread(policy, "speed", rate=rate).text(0),
                )
            )
    speed = measured.spread(BALANCED, "speed", rate=30.0)
    return Block(
        Table(
            "The cluster under load",
            ("", "answered/s", "mean E2E (s)", "p95 TTFT (s)", "failed", "times real time"),
            tuple(rows),
            "Answered per second of the whole run, its end with empty queues included.",
        ),
        (
            Claim(
                "Little's law: requests in the cluster = rate x time, within 2% in every run",
                f"at most {worst:.1%} off",
                worst <= 0.02,
            ),
            Claim(
                f"at least {SPEED:g} times faster than real time at 30 requests/s on one core",
                f"{speed.text(0)} times",
                speed.low >= SPEED,
            ),
        ),
    )


def _little(result: RunResult) -> float:
    """(mean number present) / (time spent there by all, per second); 1 by Little's law."""
    assert result.timeline is not None
    present = float(np.mean(np.sum(result.timeline.in_flight, axis=1)))
    # Decision and network take place outside of the servers.
    outside_s = 0.0026
    return present / (float(np.sum(result.e2e_s - outside_s)) / result.sim_s)


def time_per_token_s(tier: Tier, batch: int) -> float:
    """Time per output token after the first when `batch` usual requests run together."""
    instance = Instance(tier.hardware)
    for _ in range(batch):
        instance.add(Job(INPUT_TOKENS, OUTPUT_TOKENS))
    clock = first_s = 0.0
    while (took := instance.begin(_STEPS)) is not None:
        clock += took
        instance.finish()
        if not first_s and not instance.waiting and all(not job.to_prefill for job in instance.running):
            first_s = clock
    return (clock - first_s) / (OUTPUT_TOKENS - 1)


def knee(tier: Tier) -> int:
    """The smallest batch at which a token takes twice as long as alone, or the largest batch there is."""
    low, high = 1, tier.hardware.max_num_seqs
    alone = tier.tpot_s
    context = INPUT_TOKENS + OUTPUT_TOKENS // 2
    while low < high:
        middle = (low + high) // 2
        if tier.hardware.iteration_s(middle, middle * context) >= 2.0 * alone:
            high = middle
        else:
            low = middle + 1
    return low


def capacity(tier: Tier) -> float:
    """Usual requests per second of one server with a queue that never ends; lengths spread evenly."""
    instance = Instance(tier.hardware)
    count = 4 * tier.hardware.max_num_seqs
    for n in range(count):
        instance.add(Job(INPUT_TOKENS, OUTPUT_TOKENS // 2 + n * OUTPUT_TOKENS // count))
    clock, answered = 0.0, 0
    # Up to three quarters: the last ones run in batches that are no longer full.
    while answered < 3 * count // 4 and (took := instance.begin(_STEPS)) is not None:
        clock += took
        answered += sum(job.done for job, _ in instance.finish())
    return answered / clock


EXPERIMENT = Named("cluster", "The cluster's model", runs, blocks)
