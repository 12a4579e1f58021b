"""`routebalance version`: what runs here, for a report of a fault."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version as installed

import click

from rb_litellm.cli.output_options import json_option
from rb_litellm.version import __version__


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the releases of RouteBalance, LiteLLM and Python."""
    releases = {
        "rb_litellm": __version__,
        "litellm": installed("litellm"),
        "python": platform.python_version(),
    }
    click.echo(json.dumps(releases) if as_json else "\n".join(f"{n} {r}" for n, r in releases.items()))
