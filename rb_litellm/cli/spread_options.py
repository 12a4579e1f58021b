"""The options by which commands say where runs are carried out, and how they tell of those that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rb_litellm.spread.where import Where
    from rb_litellm.spread.work import Failed

_F = TypeVar("_F", bound=Callable[..., Any])
FAILED = 1
"""Exit status where some runs failed."""


def spread_options(command: _F) -> _F:
    """`--jobs` and `--scheduler`."""
    jobs = click.option(
        "--jobs",
        type=click.IntRange(1),
        show_default="one for each core that is free to use",
        help="Run in so many processes.",
    )
    scheduler = click.option(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Run on the Dask cluster of this scheduler, in place of processes here.",
    )
    return jobs(scheduler(command))


def where(jobs: int | None, scheduler: str | None) -> Where:
    """Where the options say."""
    from rb_litellm.spread.where import Where

    if jobs is not None and scheduler is not None:
        raise click.UsageError("--jobs is for this machine, --scheduler names a cluster: give one of them")
    return Where(jobs, scheduler)


def tell_failed(failed: Sequence[Failed], of: int) -> None:
    """Name on standard error the runs that failed.

    Raises:
        ClickException: all of them did.
    """
    if not failed:
        return
    if len(failed) == of:
        raise click.ClickException(str(failed[0]))
    for one in failed:
        click.echo(f"Error: {one}", err=True)


def failed_as_json(failed: Sequence[Failed]) -> list[dict[str, str]]:
    """The same for `--json`."""
    return [{"run": one.cell, "reason": one.reason} for one in failed]
