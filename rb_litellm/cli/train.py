"""`routebalance train`: from graded answers to a folder that a proxy loads."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rb_litellm.cli.log_options import log_options


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Graded answers: JSON lines, CSV or Parquet. Repeatable.",
)
@log_options(
    "logs",
    50_000,
    help="LiteLLM's spend logs, beside or in place of --data: postgresql:// URL or file; repeatable.",
)
@click.option(
    "--feedback",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Grades of logged calls: rows of call_id and score, as the setting `feedback` keeps them.",
)
@click.option(
    "--default",
    "makes_default",
    is_flag=True,
    help="Make the default predictor, for models of any name, from the sets of `routebalance data`.",
)
@click.option(
    "--held-out", is_flag=True, help="With --default: judge it on models and prompts held out, in its card."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make; must not exist.")
@click.option("--seed", type=int, default=0, help="The same data and seed give the same predictor.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train(
    data: tuple[Path, ...],
    logs: tuple[str, ...],
    feedback: Path | None,
    max_rows: int,
    strict: bool,
    makes_default: bool,
    held_out: bool,
    out: Path,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a predictor of answer quality and output length.

    A row of the data has `prompt` or `messages`, `model`, `quality` from 0 to 1 and `output_tokens`;
    either label may be missing. Spend logs tell the output length of each call whose prompt LiteLLM stored
    (`store_prompts_in_spend_logs`), and with --feedback its quality; and how fast each deployment is. The
    model card beside the predictor says how well it does on prompts that it had not seen, and under `latency`
    the `ttft_ms` and `tpot_ms` of deployments in the log, for their `model_info.routebalance`.
    """
    from rb_litellm.logs.feedback import read_feedback
    from rb_litellm.logs.spend_logs import read_spend_logs
    from rb_litellm.predictors.model import CARD, PredictorError
    from rb_litellm.train.card import reached
    from rb_litellm.train.dataset import Answer, read_dataset
    from rb_litellm.train.folder import check_free
    from rb_litellm.train.logged import answers_of_calls, latencies_of_calls
    from rb_litellm.train.pipeline import train_predictor

    if makes_default:
        if logs or not data:
            raise click.UsageError("--default is made of --data alone")
        _train_default(data, out, seed, held_out, as_json, quiet)
        return
    if held_out:
        raise click.UsageError("--held-out is for --default; other training is judged as it is")
    if not (data or logs):
        raise click.UsageError("give --data, --from-spend-logs, or both")
    if feedback and not logs:
        raise click.UsageError("--feedback grades logged calls; it needs --from-spend-logs")
    started = time.perf_counter()
    answers: list[Answer] = []
    counts = None
    latencies: dict[str, Any] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True, quiet=quiet)
    try:
        check_free(out)
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("reading", total=None)
            if logs:
                scores = read_feedback(feedback) if feedback else {}
                read = read_spend_logs(logs, max_rows, strict=strict)
                answers, counts = answers_of_calls(read, scores)
                latencies = latencies_of_calls(read.calls)
                # The calls with all that LiteLLM stored of them are not needed any more.
                read.calls.clear()
            graded = read_dataset(data, answers)
            progress.update(task, description="training")
            predictor = train_predictor(
                graded,
                out,
                seed,
                lambda done, of: progress.update(task, completed=done, total=of),
                latencies,
            )
    except (ValueError, PredictorError, OSError) as error:
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
            "routing": json.loads((out / CARD).read_text(encoding="utf-8"))["routing"],
        }
        if counts is not None:
            document["log"] = {**counts.as_json(), "latency": latencies, "read": read.report.as_json()}
        click.echo(json.dumps(document))
    else:
        if counts is not None:
            for line in read.report.lines() if not quiet else ():
                click.echo(f"log: {line}")
            click.echo(f"log: {counts}")
            click.echo(f"log: latencies of {len(latencies)} deployments, see `latency` in the card")
        click.echo(
            f"{out}: version {predictor.version}, {len(predictor.models)} models, "
            f"{graded.rows} rows of {len(graded.prompts)} prompts, {seconds} s; card in {out / 'card.json'}"
        )
        for line in reached(json.loads((out / CARD).read_text(encoding="utf-8"))):
            click.echo(line)


def _train_default(
    data: tuple[Path, ...], out: Path, seed: int, held_out: bool, as_json: bool, quiet: bool
) -> None:
    from rb_litellm.train.dataset import read_dataset
    from rb_litellm.train.default.pipeline import train_default
    from rb_litellm.train.folder import check_free

    started = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        check_free(out)
        with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
            task = progress.add_task("reading", total=None)
            graded = read_dataset(data)
            progress.update(task, description="training")
            made = train_default(
                graded,
                out,
                seed,
                lambda done, of: progress.update(task, completed=done, total=of),
                held_out,
            )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    told = {
        "out": str(out),
        "seconds": round(time.perf_counter() - started, 2),
        "rows": graded.rows,
        "prompts": len(graded.prompts),
        "models": list(graded.models),
        "version": made.version,
    }
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(
            f"{out}: version {made.version}, {graded.rows} rows of {len(graded.prompts)} prompts and "
            f"{len(graded.models)} models, {told['seconds']} s; card in {out / 'card.json'}"
        )
