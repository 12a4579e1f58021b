"""`routebalance bench fleet`: what the exchange of loads costs, as fleets and deployments grow."""

from __future__ import annotations

import click

from rb_litellm.cli.figures import machine, packages_of, progress, show
from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import json_option, quiet_option


@click.command(short_help="Measure what workers' exchange of loads costs.")
@click.option(
    "--workers",
    type=click.IntRange(2, 512),
    multiple=True,
    default=(16, 64),
    show_default=True,
    help="Exchange among so many workers. May be given several times.",
)
@click.option(
    "--deployments",
    type=click.IntRange(1, 4096),
    multiple=True,
    default=(128, 1000),
    show_default=True,
    help="Exchange the load of so many deployments. May be given several times.",
)
@click.option(
    "--seconds",
    type=FiniteRange(1.0, 600.0),
    default=10.0,
    show_default=True,
    help="Measure each for so many seconds.",
)
@json_option
@quiet_option
def fleet(
    workers: tuple[int, ...], deployments: tuple[int, ...], seconds: float, as_json: bool, quiet: bool
) -> None:
    """Measure the exchange of workers' loads through a real Redis, every deployment busy and changing."""
    with packages_of("demo"):
        from rb_litellm.bench.fleet.run import run
    from rb_litellm.demo.processes import ChildFailed, end_on_sigterm

    end_on_sigterm()
    try:
        result = run(workers, deployments, seconds, progress(quiet))
    except ChildFailed as error:
        raise click.ClickException(str(error)) from error
    show({**result, "machine": machine()}, as_json)
