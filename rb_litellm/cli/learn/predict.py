"""`routebalance predict`: what is expected of each model for each prompt of a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from rb_litellm.cli.output_options import NewFile
from rb_litellm.cli.plain_table import show_table
from rb_litellm.cli.predictor_option import open_source, predictor_option
from rb_litellm.new_file import new_file

SHOWN = 20
"""Prompts in the table."""


@click.command(context_settings={"show_default": True})
@predictor_option(default="default")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Read rows with `prompt` or `messages`, as `train` does; labels are not looked at.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="NAME",
    help="Predict for this model, by any name. May be given several times.",
)
@click.option(
    "--out",
    type=NewFile(),
    help="Write JSON lines to this file, which must not exist yet: one for each row of --data.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON lines, as is always done where the output is no terminal.",
)
def predict(predictor: str, data: Path, models: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Predict quality and output length of every model for every prompt.

    Any model can be named, also one that nothing was trained on. A line has the kind that the prompt is taken
    for and how certain that is, and for each model the quality from 0 to 1, the output tokens, and the range
    that holds 80% of the answers' lengths.
    """
    from rb_litellm.predictors.trained.model import PredictorError
    from rb_litellm.train.data.predicted import predicted_rows, prompts_of_file

    if not all(name.strip() for name in models):
        raise click.UsageError("--model is empty; allowed is a model's name")
    if twice := sorted({name for name in models if models.count(name) > 1}):
        raise click.UsageError(f"--model {twice[0]} is given twice")
    try:
        rows = predicted_rows(open_source(predictor), prompts_of_file(data), models)
        if out is not None:
            count = _write(out, rows)
            click.echo(f"{out}: {count} prompts, {len(models)} models", err=True)
        elif as_json or not sys.stdout.isatty():
            for row in rows:
                click.echo(json.dumps(row))
        else:
            _show(rows)
    except (ValueError, PredictorError) as error:
        raise click.ClickException(str(error)) from error


def _write(out: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with new_file(out) as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


def _show(rows: Iterable[dict[str, Any]]) -> None:
    left = iter(rows)
    for row in islice(left, SHOWN):
        show_table(
            f"{row['prompt_id']}: {row['kind']}, certainty {row['certainty']:.2f}",
            ("quality", "tokens", "80% within"),
            "model",
            (
                (
                    (
                        f"{told['quality']:.3f}",
                        f"{told['output_tokens']:.0f}",
                        f"{told['low']:.0f} to {told['high']:.0f}",
                    ),
                    name,
                )
                for name, told in row["models"].items()
            ),
        )
    if more := sum(1 for _ in left):
        click.echo(f"and {more} more; --out FILE has all of them")
