"""`routebalance bench proxy|overhead`: whole proxies, by strategy: requests per second, and what they add."""

from __future__ import annotations

import click

from rb_litellm.cli.figures import machine, packages_of, progress, show
from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import json_option, quiet_option

_rounds = click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="Measure so many rounds of each strategy.",
)
_seconds = click.option(
    "--seconds",
    type=FiniteRange(0.5, 60),
    default=4.0,
    show_default=True,
    help="Let a round last so many seconds.",
)
_seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="Draw the order within a round by this seed."
)


@click.command(name="proxy", short_help="Measure requests per second through real proxies.")
@click.option(
    "--workers",
    type=click.IntRange(1, 16),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Start proxies of so many workers. May be given several times.",
)
@_rounds
@_seconds
@click.option(
    "--clients",
    type=click.IntRange(1, 512),
    default=16,
    show_default=True,
    help="Let so many clients ask at the same time.",
)
@_seed
@json_option
@quiet_option
def proxy(
    workers: tuple[int, ...],
    rounds: int,
    seconds: float,
    clients: int,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Requests per second and latency through real proxies before upstreams that answer at once."""
    with packages_of("demo"):
        from rb_litellm.bench.proxy import run
        from rb_litellm.demo.processes import ChildFailed

    try:
        result = run(workers, rounds, seconds, clients, seed, progress(quiet))
    except (ChildFailed, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    show({**result, "machine": machine()}, as_json)


@click.command(short_help="Measure what a proxy adds to latency.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 512),
    multiple=True,
    default=(1, 16, 64),
    show_default=True,
    help="Let so many clients ask at the same time. May be given several times.",
)
@_rounds
@_seconds
@_seed
@json_option
@quiet_option
def overhead(
    concurrency: tuple[int, ...], rounds: int, seconds: float, seed: int, as_json: bool, quiet: bool
) -> None:
    """Latency that a proxy adds, against its upstream alone and against simple-shuffle, in closed loops."""
    with packages_of("demo"):
        from rb_litellm.bench.overhead import run
        from rb_litellm.demo.processes import ChildFailed

    try:
        result = run(concurrency, rounds, seconds, seed, progress(quiet))
    except (ChildFailed, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    show({**result, "machine": machine()}, as_json)
