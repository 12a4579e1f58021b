"""`routebalance train`: from graded answers to a folder that a proxy loads."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Graded answers: JSON lines, CSV or Parquet. Repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make; must not exist.")
@click.option("--seed", type=int, default=0, help="The same data and seed give the same predictor.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train(data: tuple[Path, ...], out: Path, seed: int, as_json: bool, quiet: bool) -> None:
    """Train a predictor of answer quality and output length.

    A row of the data has `prompt` or `messages`, `model`, `quality` from 0 to 1 and `output_tokens`;
    either label may be missing. The model card beside the predictor says how well it does on prompts
    that it had not seen.
    """
    from rb_litellm.predictors.model import PredictorError
    from rb_litellm.train.dataset import DataError, read_dataset
    from rb_litellm.train.folder import check_free
    from rb_litellm.train.pipeline import train_predictor

    started = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True, quiet=quiet)
    try:
        check_free(out)
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("reading", total=None)
            graded = read_dataset(data)
            progress.update(task, description="training")
            predictor = train_predictor(
                graded, out, seed, lambda done, of: progress.update(task, completed=done, total=of)
            )
    except (DataError, PredictorError, OSError) as error:
        raise click.ClickException(str(error)) from error
    seconds = round(time.perf_counter() - started, 2)
    if as_json:
        document = {
            "out": str(out),
            "seconds": seconds,
            "rows": graded.rows,
            "prompts": len(graded.prompts),
            "models": list(predictor.models),
            "version": predictor.version,
        }
        click.echo(json.dumps(document))
    else:
        click.echo(
            f"{out}: version {predictor.version}, {len(predictor.models)} models, "
            f"{graded.rows} rows of {len(graded.prompts)} prompts, {seconds} s; card in {out / 'card.json'}"
        )
