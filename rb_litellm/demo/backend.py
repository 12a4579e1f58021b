"""`python -m rb_litellm.demo.backend`: mock vLLM servers, any number of them in one process.

    python -m rb_litellm.demo.backend --port 9001 --port 9002 --model qwen2.5-7b --tier paper-7b
    python -m rb_litellm.demo.backend --cluster paper --first-port 9001

Each listens on a port of its own, batches continuously, slows under load and streams tokens in the
tier's time. Once all listen, one JSON line on standard output names them:
`{"servers": [{"id", "port", "model", "tier"}, ...]}`. Port 0 lets the system choose.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from zlib import crc32

import click
from aiohttp import web

from rb_litellm.demo.server.answers import AnswerLengths, read_table
from rb_litellm.demo.server.api import MockServer
from rb_litellm.demo.server.live import LiveInstance
from rb_litellm.demo.truth import Truth, read_truth
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER


@dataclass(frozen=True)
class Place:
    """Where one server stands and what it runs."""

    id: str
    port: int
    model: str
    tier: str


@dataclass(frozen=True)
class Manner:
    """How all of them behave."""

    time_scale: float = 1.0
    stream_interval: int = 1
    seed: int = 0
    lengths: Mapping[str, Mapping[str, int]] | None = None
    truth: Truth | None = None
    slots: int | None = None
    """Sequences that each runs at once; None for as many as its tier does."""
    prefix_cache: bool = False


def make_server(place: Place, manner: Manner) -> MockServer:
    """The server for one place."""
    tier = PAPER_CLUSTER.tier(place.tier)
    hardware = tier.hardware
    if manner.slots is not None:
        hardware = replace(hardware, max_num_seqs=manner.slots)
    return MockServer(
        model=place.model,
        live=LiveInstance(hardware, manner.time_scale, manner.stream_interval),
        lengths=AnswerLengths(tier.output_tokens, manner.lengths, manner.truth),
        truth=manner.truth,
        prefix_cache=manner.prefix_cache,
        random=Random(manner.seed ^ crc32(place.id.encode())),
    )


async def start(
    places: Sequence[Place], manner: Manner, host: str
) -> tuple[list[web.AppRunner], list[Place]]:
    """Listen at every place; the runners to clean up, and the places with their true ports."""
    runners, found = [], []
    for place in places:
        runner = web.AppRunner(
            make_server(place, manner).application(),
            access_log=None,
            handler_cancellation=True,  # a client that leaves frees its slot at once
            shutdown_timeout=0.5,
        )
        await runner.setup()
        await web.TCPSite(runner, host, place.port).start()
        runners.append(runner)
        found.append(Place(place.id, runner.addresses[0][1], place.model, place.tier))
    return runners, found


async def serve(places: Sequence[Place], manner: Manner, host: str) -> None:
    """Run until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    runners, found = await start(places, manner, host)
    print(json.dumps({"servers": [vars(place) for place in found]}), flush=True)
    await stop.wait()
    await asyncio.gather(*(runner.cleanup() for runner in runners))


def paper_places(first_port: int, copies: int = 1) -> list[Place]:
    """The paper's thirteen servers on consecutive ports, or on free ones where `first_port` is 0.

    Of several `copies` one comes whole after the other, under the same ids.
    """
    deployments = [(tier, d) for tier in PAPER_CLUSTER.tiers for d in tier.deployments()] * copies
    return [
        Place(deployment.id, first_port + offset if first_port else 0, tier.model, tier.name)
        for offset, (tier, deployment) in enumerate(deployments)
    ]


@click.command(context_settings={"show_default": True})
@click.option("--port", "ports", type=int, multiple=True, help="Port to listen on; one server for each.")
@click.option("--model", help="Name that the servers of --port answer to.")
@click.option(
    "--tier",
    type=click.Choice([t.name for t in PAPER_CLUSTER.tiers]),
    help="Hardware of the servers of --port.",
)
@click.option("--cluster", type=click.Choice(["paper"]), help="A whole cluster instead of --port.")
@click.option("--copies", type=click.IntRange(1), default=1, help="How many clusters of the kind.")
@click.option("--first-port", type=int, default=9001, help="First port of the cluster; 0 for free ports.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--time-scale", type=click.FloatRange(0.01, 1000), default=1.0, help="Times faster than real.")
@click.option("--stream-interval", type=click.IntRange(1), default=1, help="Tokens per streamed chunk.")
@click.option(
    "--lengths", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON lines of lengths."
)
@click.option("--truth", is_flag=True, help="Answer the demo's prompts right or wrong, and say which.")
@click.option("--slots", type=click.IntRange(1), default=None, help="Sequences at once on each server.")
@click.option("--prefix-cache", is_flag=True, help="Keep the beginnings of prompts.")
@click.option("--seed", type=int, default=0, help="Seed of random faults, and of what is right.")
def main(
    ports: tuple[int, ...],
    model: str | None,
    tier: str | None,
    cluster: str | None,
    copies: int,
    first_port: int,
    host: str,
    time_scale: float,
    stream_interval: int,
    lengths: Path | None,
    truth: bool,
    slots: int | None,
    prefix_cache: bool,
    seed: int,
) -> None:
    """Serve mock vLLM servers until stopped."""
    if cluster:
        places = paper_places(first_port, copies)
    elif ports and tier:
        name = model or PAPER_CLUSTER.tier(tier).model
        places = [Place(f"{name}-{number}", port, name, tier) for number, port in enumerate(ports, 1)]
    else:
        raise click.UsageError("give --cluster paper, or --tier with at least one --port")
    manner = Manner(
        time_scale,
        stream_interval,
        seed,
        read_table(lengths) if lengths else None,
        read_truth(seed=seed) if truth else None,
        slots,
        prefix_cache,
    )
    asyncio.run(serve(places, manner, host))


if __name__ == "__main__":
    main()
