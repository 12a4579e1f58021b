"""`routebalance label`: quality labels from a judge model, or from thumbs up and down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rb_litellm.cli.output_options import json_option, quiet_option
from rb_litellm.new_file import new_file

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_T = TypeVar("_T")


@click.command(context_settings={"show_default": True})
@click.option(
    "--data", type=_FILE, help="Read rows with prompt or messages, model, answer, and perhaps reference."
)
@click.option("--judge", help="Have this model grade; give LiteLLM's name of it, such as openai/gpt-4o.")
@click.option(
    "--thumbs",
    type=_FILE,
    help="Read, in place of --data, rows with prompt or messages, model, thumbs (up, down).",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write JSON lines for `train --data` to this file, and go on where an earlier run has stopped.",
)
@click.option("--concurrency", type=click.IntRange(1, 256), default=8, help="Judge so many answers at once.")
@click.option(
    "--max-tokens",
    type=click.IntRange(16, 100_000),
    default=400,
    help="Allow the judge so many tokens for each reply.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Pass this parameter to LiteLLM, such as api_base. May be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Show the cost and one question; send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before it costs something.")
@json_option
@quiet_option
def label(
    data: Path | None,
    judge: str | None,
    thumbs: Path | None,
    out: Path | None,
    concurrency: int,
    max_tokens: int,
    params: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make quality labels where there are none.

    A judge grades each answer from 0 to 10: against the row's `reference` where it has one, else by how
    well it serves the request. Rows that are in --out already are not asked again.
    """
    from rb_litellm.train.data import judge as judges
    from rb_litellm.train.data.calibration import Task, task_of_row, thumbs_row

    if bool(thumbs) == bool(data) or bool(data) != bool(judge):
        raise click.UsageError("give --data with --judge, or --thumbs")
    if out is None and not dry_run:
        raise click.UsageError("give --out FILE, or --dry-run")
    try:
        if thumbs:
            rows = _read(thumbs, thumbs_row)
            if out and not dry_run:
                _write_new(out, rows)
            _say(as_json, {"out": str(out), "rows": len(rows)}, f"{out}: {len(rows)} rows")
            return
        assert data is not None and judge is not None  # noqa: PT018
        parameters = _parameters(params)
        doubt = judges.doubt_about(judge)
        done = judges.finished_ids(out) if out else set()
        tasks = {task.id: task for task in _read(data, task_of_row) if task.id not in done}
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    todo = list(tasks.values())
    cost = judges.cost_usd(judge, todo, max_tokens)
    price = "at a price that LiteLLM does not know" if cost is None else f"for at most about {cost:.4f} USD"
    plan = {
        "to_judge": len(todo),
        "judged_before": len(done),
        "max_cost_usd": cost,
        "judge_listed": doubt is None,
    }
    if doubt is not None:
        click.echo(doubt, err=True)
    console = Console(stderr=True, quiet=quiet)
    if dry_run:
        sample = "\n\n".join(message["content"] for message in todo[0].messages) if todo else ""
        text = f"{len(todo)} answers to judge by {judge} {price}; {len(done)} judged before\n\n{sample}"
        _say(as_json, {**plan, "sample": sample}, text)
        return
    click.echo(f"{len(todo)} answers to judge by {judge} {price}", err=True)
    if todo and not yes:
        click.confirm("Go on?", abort=True, err=True)
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    assert out is not None
    with out.open("a", encoding="utf-8") as file, Progress(*columns, console=console) as progress:
        shown = progress.add_task("", total=len(todo))

        def keep(task: Task, quality: float) -> None:
            file.write(json.dumps(task.labelled(quality, judge)) + "\n")
            file.flush()

        result = asyncio.run(
            judges.label(
                todo,
                judges.litellm_judge(judge, max_tokens, parameters),
                keep,
                concurrency,
                lambda: progress.advance(shown),
            )
        )
    report = {"out": str(out), **plan, "graded": result.graded, "failed": result.failed}
    _say(as_json, report, f"{out}: {result.graded} graded, {result.failed} failed")
    if result.failed:
        ended = "; given up, for the judge kept failing" if result.stopped else ""
        reasons = "\n".join(result.reasons)
        raise click.ClickException(
            f"{result.failed} answers have no grade{ended}; the same command asks for them again\n{reasons}"
        )


def _read(path: Path, read: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    from rb_litellm.logs.sources.files import LogFileError, rows_of_file
    from rb_litellm.logs.wrong_rows import WrongRows
    from rb_litellm.train.data.dataset import DataError

    wrong = WrongRows(DataError)
    result = []
    for line, row in rows_of_file(path):
        try:
            if isinstance(row, LogFileError):
                raise row
            result.append(read(row))
        except ValueError as error:  # noqa: PERF203  its row is named
            wrong.add(f"{path}:{line}", error)
    wrong.check(len(result))
    return result


def _write_new(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with new_file(out) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _parameters(params: Sequence[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for text in params:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise ValueError(f"--param {text!r}: allowed is NAME=VALUE")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            parameters[name] = value
    return parameters


def _say(as_json: bool, document: Mapping[str, Any], text: str) -> None:
    click.echo(json.dumps(document) if as_json else text)
