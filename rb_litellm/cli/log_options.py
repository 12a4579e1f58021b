"""The options by which every command is told of a log, and how what was read of it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rb_litellm.logs.spend_logs import MAX_ROWS

if TYPE_CHECKING:
    from rb_litellm.logs.report import ReadReport

_Command = TypeVar("_Command", bound=Callable[..., Any])

SOURCE_HELP = (
    "Read LiteLLM's database by its postgresql:// URL, or a file exported from it. May be given several "
    "times."
)


def log_options(
    name: str, max_rows: int, required: bool = False, help: str = SOURCE_HELP
) -> Callable[[_Command], _Command]:
    """`--from-spend-logs`, into parameter `name`, `--max-rows` and `--strict`."""

    def add(command: _Command) -> _Command:
        for option in (
            click.option("--strict", is_flag=True, help="End at a row of the log that is wrong, naming it."),
            click.option(
                "--max-rows",
                type=click.IntRange(1, MAX_ROWS),
                default=max_rows,
                help="Read at most so many calls of the log, the latest.",
            ),
            click.option("--from-spend-logs", name, multiple=True, required=required, help=help),
        ):
            command = option(command)
        return command

    return add


def tell(report: ReadReport) -> None:
    """What was left out of a log, on the standard error."""
    lines = report.lines()
    for line in lines if len(lines) > 1 else ():
        click.echo(f"log: {line}", err=True)
