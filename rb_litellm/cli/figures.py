"""What the benchmarks' commands share: what they need, and how they print figures."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import click
from rich.table import Table

from rb_litellm.cli.screen import Screen


@contextmanager
def packages_of(extra: str) -> Iterator[None]:
    """Around imports: a missing package is reported with what to install, before anything has begun.

    Raises:
        ClickException: a package is missing.
    """
    try:
        yield
    except ImportError as error:
        raise click.ClickException(f"{error}; install with: pip install 'rb_litellm[{extra}]'") from error


def machine() -> dict[str, str]:
    """Where and with what a measurement was made."""
    return {
        "processor": platform.processor() or platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("litellm", "numpy", "xgboost", "redis")},
    }


def show(result: Mapping[str, Any], as_json: bool) -> None:
    """Print a result: as JSON, or each list of rows in it, and each mapping of figures, as a table."""
    if as_json:
        json.dump(result, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    console = Screen()
    for name, part in result.items():
        if name == "machine":
            continue
        if isinstance(part, list) and part and isinstance(part[0], Mapping):
            console.print(_rows(name, part))
        elif isinstance(part, Mapping):
            console.print(_figures(name, part))


def progress(quiet: bool) -> Callable[[str], None]:
    """Tells of progress on standard error, or is silent."""
    return (lambda _: None) if quiet else (lambda message: click.echo(message, err=True))


def _rows(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(*map(str, rows[0]), title=None if name == "rows" else name, title_justify="left")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    return table


def _figures(name: str, figures: Mapping[str, Any]) -> Table:
    table = Table(title=name, title_justify="left", show_header=False)
    for key, value in figures.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{k} {v}" for k, v in value.items()) or "none"
        table.add_row(key, _text(value))
    return table


def _text(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
