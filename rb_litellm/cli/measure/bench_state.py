"""`routebalance bench faults|workers|state`: what shared state withstands, what it brings, what it costs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from rb_litellm.cli.figures import machine, packages_of, progress, show
from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import json_option, quiet_option
from rb_litellm.core.decision.scoring import PRESETS


@click.command(short_help="Send a real proxy through every fault.")
@click.option(
    "--requests",
    type=click.IntRange(200, 1_000_000),
    default=10_000,
    show_default=True,
    help="Send so many requests, for conservation.",
)
@click.option(
    "--seconds",
    type=FiniteRange(1.0, 600.0),
    default=10.0,
    show_default=True,
    help="Let a Redis fail for so many seconds.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(["conservation", "redis"]),
    multiple=True,
    default=("conservation", "redis"),
    help="Run this part alone. May be given twice.",
)
@click.option(
    "--cancel-on-disconnect", is_flag=True, help="Use LiteLLM's setting of that name, for conservation."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep configurations and logs in this folder.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draw by this seed.")
@json_option
@quiet_option
def faults(
    requests: int,
    seconds: float,
    parts: tuple[str, ...],
    cancel_on_disconnect: bool,
    folder: Path | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send a real proxy through every fault: is every count undone, and is Redis never waited for?

    First `--requests` of a random mix with one worker killed on the way, then each way in which a Redis
    fails for `--seconds`. Needs the demo's packages; takes some minutes.
    """
    with packages_of("demo"):
        from rb_litellm.bench import conservation, outages
    from rb_litellm.demo.processes import end_on_sigterm

    end_on_sigterm()
    told = progress(quiet)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="rb-faults-") as temporary:
        where = folder or Path(temporary)
        for part in parts:
            (where / part).mkdir(parents=True, exist_ok=True)
        if "conservation" in parts:
            result["conservation"] = conservation.run(
                where / "conservation", requests, seed, cancel_on_disconnect, progress=told
            )
        if "redis" in parts:
            result["redis"] = outages.run(where / "redis", seconds, seed=seed, progress=told)
    show({**result, "seed": seed, "machine": machine()}, as_json)


@click.command(short_help="Send the same load to one worker and to several.")
@click.option(
    "--requests",
    type=click.IntRange(100, 1_000_000),
    default=3000,
    show_default=True,
    help="Send so many requests in each run.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    multiple=True,
    default=(1, 4),
    show_default=True,
    help="Decide in so many workers. May be given several times.",
)
@click.option(
    "--weights",
    type=click.Choice(list(PRESETS)),
    default="balanced",
    show_default=True,
    help="Decide by these weights.",
)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    default=(0, 1, 2),
    show_default=True,
    help="Draw by this seed. May be given several times.",
)
@json_option
@quiet_option
def workers(
    requests: int, workers: tuple[int, ...], weights: str, seeds: tuple[int, ...], as_json: bool, quiet: bool
) -> None:
    """Send the same arrivals to one worker and to several, with gauges exchanged and without."""
    from rb_litellm.bench.workers import run

    show({**run(requests, workers, seeds, weights, progress(quiet)), "machine": machine()}, as_json)


@click.command(short_help="Measure what keeping state costs.")
@click.option(
    "--decisions",
    type=click.IntRange(1000),
    default=200_000,
    show_default=True,
    help="Make so many decisions, for the memory they leave.",
)
@click.option(
    "--seconds",
    type=FiniteRange(1.0, 600.0),
    default=5.0,
    show_default=True,
    help="Watch Redis for so many seconds.",
)
@json_option
@quiet_option
def state(decisions: int, seconds: float, as_json: bool, quiet: bool) -> None:
    """Measure what keeping state costs: reckoning, Redis per worker at rest and under load, memory."""
    with packages_of("demo"):
        from rb_litellm.bench.state import run

    show({**run(decisions, seconds, progress(quiet)), "machine": machine()}, as_json)
