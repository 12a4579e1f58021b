"""`routebalance train`: from graded answers to a folder that a proxy loads."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rb_litellm.cli.log_options import log_options
from rb_litellm.cli.output_options import json_option, quiet_option
from rb_litellm.cli.screen import progress_bar
from rb_litellm.cli.spread_options import spread_options, where

if TYPE_CHECKING:
    from rb_litellm.train.data.dataset import Dataset


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Read graded answers from this file of JSON lines, CSV or Parquet. May be given several times.",
)
@log_options(
    "logs",
    50_000,
    help="Read LiteLLM's spend logs, beside or in place of --data, from a postgresql:// URL or a file. May "
    "be given several times.",
)
@click.option(
    "--feedback",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take grades of logged calls from this file: rows of call_id and score, as the setting `feedback` "
    "keeps them.",
)
@click.option(
    "--default",
    "makes_default",
    is_flag=True,
    help="Make the default predictor, for models of any name, from the sets of `routebalance data`.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="With --default, judge it on models and prompts held out, and write that to its card.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Write the predictor to this folder, which must not exist yet.",
)
@click.option(
    "--seed", type=int, default=0, help="Draw by this seed: the same data and seed give the same predictor."
)
@click.option(
    "--partitioned",
    is_flag=True,
    help="With --scheduler: the files of --data are shared out among its workers, which read them and keep "
    "them, so that no process holds all rows.",
)
@spread_options
@json_option
@quiet_option
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
    partitioned: bool,
    jobs: int | None,
    scheduler: str | None,
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
    import numpy as np

    from rb_litellm.logs.feedback import read_feedback
    from rb_litellm.logs.spend_logs import read_spend_logs
    from rb_litellm.predictors.trained.model import CARD, PredictorError
    from rb_litellm.train.card import reached
    from rb_litellm.train.data.dataset import Answer, read_dataset
    from rb_litellm.train.data.logged import answers_of_calls, latencies_of_calls
    from rb_litellm.train.folder import check_free
    from rb_litellm.train.pipeline import train_partitioned, train_predictor

    place = where(jobs, scheduler)
    if makes_default:
        if jobs is not None or scheduler is not None:
            raise click.UsageError(
                "--default is trained in this process; --jobs and --scheduler are not for it"
            )
        if logs or not data:
            raise click.UsageError("--default is made of --data alone")
        _train_default(data, out, seed, held_out, as_json, quiet)
        return
    if held_out:
        raise click.UsageError("--held-out is for --default; other training is judged as it is")
    if partitioned and (scheduler is None or logs or not data):
        raise click.UsageError("--partitioned needs --scheduler, and --data alone")
    if not (data or logs):
        raise click.UsageError("give --data, --from-spend-logs, or both")
    if feedback and not logs:
        raise click.UsageError("--feedback grades logged calls; it needs --from-spend-logs")
    started = time.perf_counter()
    answers: list[Answer] = []
    counts = None
    latencies: dict[str, Any] = {}
    try:
        check_free(out)
        with progress_bar(quiet) as progress:
            task = progress.add_task("reading", total=None)

            def done(count: int, of: int) -> None:
                progress.update(task, description="training", completed=count, total=of)

            if partitioned:
                predictor, graded = train_partitioned(data, out, seed, done, place)
            else:
                if logs:
                    scores = read_feedback(feedback) if feedback else {}
                    read = read_spend_logs(logs, max_rows, strict=strict)
                    answers, counts = answers_of_calls(read, scores)
                    latencies = latencies_of_calls(read.calls)
                    # The calls with all that LiteLLM stored of them are not needed any more.
                    read.calls.clear()
                graded = read_dataset(data, answers)
                progress.update(task, description="training")
                predictor = train_predictor(graded, out, seed, done, latencies, place)
    except (ValueError, PredictorError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not quiet and not np.isfinite(graded.quality).any():
        click.echo("no row has a `quality`: lengths of answers are learned, their quality is not", err=True)
    made = _made(out, started, graded, predictor.models, predictor.version)
    card = json.loads((out / CARD).read_text(encoding="utf-8"))
    if as_json:
        document = {**made, "routing": card["routing"]}
        if counts is not None:
            document["log"] = {**counts.as_json(), "latency": latencies, "read": read.report.as_json()}
        click.echo(json.dumps(document))
    else:
        if counts is not None:
            for line in read.report.lines() if not quiet else ():
                click.echo(f"log: {line}")
            click.echo(f"log: {counts}")
            click.echo(f"log: latencies of {len(latencies)} deployments, see `latency` in the card")
        click.echo(_in_words(made))
        for line in reached(card):
            click.echo(line)


def _train_default(
    data: tuple[Path, ...], out: Path, seed: int, held_out: bool, as_json: bool, quiet: bool
) -> None:
    from rb_litellm.train.data.dataset import read_dataset
    from rb_litellm.train.default.pipeline import train_default
    from rb_litellm.train.folder import check_free

    started = time.perf_counter()
    try:
        check_free(out)
        with progress_bar(quiet) as progress:
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
    told = _made(out, started, graded, graded.models, made.version)
    click.echo(json.dumps(told) if as_json else _in_words(told))


def _made(out: Path, started: float, graded: Dataset, models: Sequence[str], version: str) -> dict[str, Any]:
    """What was made of what, for --json."""
    return {
        "out": str(out),
        "seconds": round(time.perf_counter() - started, 2),
        "rows": graded.rows,
        "rows_wrong": graded.wrong,
        "prompts": len(graded.prompts),
        "models": list(models),
        "version": version,
    }


def _in_words(made: dict[str, Any]) -> str:
    return (
        f"{made['out']}: version {made['version']}, {len(made['models'])} models, {made['rows']} rows of "
        f"{made['prompts']} prompts, {made['seconds']} s; card in {Path(made['out']) / 'card.json'}"
    )
