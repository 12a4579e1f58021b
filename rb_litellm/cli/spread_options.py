"""The options by which commands say where runs are carried out, and how they tell of those that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rb_litellm.spread.work import Failed

_F = TypeVar("_F", bound=Callable[..., Any])
FAILED = 1
"""Exit status where some runs failed."""


def spread_options(command: _F) -> _F:
    """`--jobs`."""
    return click.option(
        "--jobs",
        type=click.IntRange(1),
        show_default="one for each core that is free to use",
        help="Run in so many processes.",
    )(command)


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
