"""`routebalance bench ...`: the measurements behind the figures of the README."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table


@click.group()
def bench() -> None:
    """Measure what RouteBalance costs and how it behaves, with seeds and machine."""


@bench.command()
@click.option(
    "--predictor", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A trained folder."
)
@click.option("--deployments", "sizes", type=int, multiple=True, default=(13, 128, 1000), show_default=True)
@click.option("--picks", type=click.IntRange(20, 100_000), default=400, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--quiet", is_flag=True, help="No progress.")
def decision(
    predictor: Path | None, sizes: tuple[int, ...], picks: int, seed: int, as_json: bool, quiet: bool
) -> None:
    """Time a pick through a real Router, for every strategy, and RouteBalance's part alone."""
    from rb_litellm.bench.decision import run

    def told(size: int) -> None:
        if not quiet:
            click.echo(f"{size} deployments measured", err=True)

    result = {**run(predictor, sizes, picks, seed, told), "machine": machine()}
    show(result, as_json)


def machine() -> dict[str, str]:
    """Where and with what a measurement was made."""
    return {
        "processor": platform.processor() or platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("litellm", "numpy", "xgboost", "redis")},
    }


def show(result: dict[str, Any], as_json: bool) -> None:
    """Print a result whose `rows` all have the same fields."""
    if as_json:
        json.dump(result, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    rows = result["rows"]
    table = Table(*map(str, rows[0]))
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
