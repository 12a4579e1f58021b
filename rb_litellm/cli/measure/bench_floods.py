"""`routebalance bench floods`: what callers who ask very much do to a proxy's memory and event loop."""

from __future__ import annotations

import click

from rb_litellm.cli.figures import machine, packages_of, progress, show
from rb_litellm.cli.output_options import json_option, quiet_option


@click.command(name="floods", short_help="Flood a real proxy with what it serves.")
@click.option(
    "--count",
    type=click.IntRange(50, 100_000),
    default=1_000,
    show_default=True,
    help="Send so many of each.",
)
@json_option
@quiet_option
def floods(count: int, as_json: bool, quiet: bool) -> None:
    """Flood a real proxy with event streams, explanations, feedback and looks at all that it shows."""
    with packages_of("demo"):
        from rb_litellm.bench.floods import run
        from rb_litellm.demo.processes import ChildFailed

    try:
        result = run(count, progress(quiet))
    except ChildFailed as error:
        raise click.ClickException(str(error)) from error
    show({**result, "machine": machine()}, as_json)
