"""`routebalance evaluate`: a predictor judged on graded prompts it has not seen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


@click.command(context_settings={"show_default": True})
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of `train`; needed but for --study.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Graded answers to judge by, as for `train`. Repeatable.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="MODEL=NAME",
    help="What the predictor calls a model of the data, where more than the provider differs; repeatable.",
)
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file: {MODEL: USD per million tokens}.",
)
@click.option(
    "--study",
    type=click.Choice(["splits", "tasks"]),
    help="Train anew and judge: on five splits by prompt, or leaving one task out at a time.",
)
@click.option("--seed", type=int, default=0, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def evaluate(
    model: Path | None,
    data: tuple[Path, ...],
    names: tuple[str, ...],
    prices: Path | None,
    study: Literal["splits", "tasks"] | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge a predictor: per model beside the constant, and routing by it."""
    from rb_litellm.cli.replay import read_pairs
    from rb_litellm.predictors.model import Predictor, PredictorError
    from rb_litellm.train.dataset import read_dataset
    from rb_litellm.train.evaluation import evaluate as judge
    from rb_litellm.train.studies import study as run_study

    if (model is None) == (study is None):
        raise click.UsageError("give either --model DIR or --study splits|tasks")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        if model is not None:
            told = dict(read_pairs("name", names))
            report = judge(Predictor.load(model), read_dataset(data), _prices(prices), seed, told)
        elif study is not None:
            with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
                task = progress.add_task(study, total=None)
                report = run_study(
                    study,
                    read_dataset(data),
                    _prices(prices),
                    progress=lambda done, of: progress.update(task, completed=done, total=of),
                )
    except (ValueError, PredictorError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report))
    elif study is not None:
        Console().print(_study(report))
    else:
        console = Console()
        console.print(_models(report["models"]))
        console.print(_routing(report["routing"]))


def _prices(path: Path | None) -> dict[str, float] | None:
    if path is None:
        return None
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--prices: {path} cannot be read ({error})") from None
    if not isinstance(given, dict):
        raise click.ClickException(f"--prices: {path} holds {type(given).__name__}; allowed is an object")
    for name, price in given.items():
        if (
            isinstance(price, bool)
            or not isinstance(price, (int, float))
            or not math.isfinite(price)
            or price < 0
        ):
            raise click.ClickException(
                f"--prices: {name} is {price!r}; allowed is a number of at least 0, USD per million tokens"
            )
    return {name: float(price) for name, price in given.items()}


def _models(models: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="By model, on these prompts")
    for name in (
        "model",
        "quality R2",
        "MAE",
        "constant",
        "ECE",
        "length MAE",
        "constant",
        "pinball",
        "constant",
        "80% holds",
    ):
        table.add_column(name, justify="left" if name == "model" else "right")
    for name, m in models.items():
        table.add_row(
            name,
            *(_shown(m[f"quality_{n}"], 3) for n in ("r2", "mae", "mae_constant", "ece")),
            *(_shown(m[f"length_{n}"], 1) for n in ("mae", "mae_constant", "pinball", "pinball_constant")),
            _shown(m["length_coverage_80"], 3),
        )
    return table


def _routing(routing: dict[str, Any]) -> Table:
    table = Table(title=f"Routing over {len(routing['models'])} models, {routing['prompts']} prompts")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    if "best_single" in routing:
        table.add_row("best single model", routing["best_single"], "")
    for name, interval in routing.get("ci95", {}).items():
        if interval is not None:
            table.add_row(
                name.replace("_", " "), _shown(routing[name], 4), f"{interval[0]:.4f} .. {interval[1]:.4f}"
            )
    return table


def _study(report: dict[str, Any]) -> Table:
    part = report["study"].removesuffix("s")
    figures = [name for name in report["mean"] if name != "curve_area"]
    table = Table(title=f"Trained anew and judged: {report['study']}")
    table.add_column(part)
    for name in figures:
        table.add_column(name.replace("_", " "), justify="right")
    for run in report["runs"]:
        table.add_row(str(run[part]), *(_shown(run["routing"].get(name), 4) for name in figures))
    table.add_section()
    table.add_row("mean", *(_shown(report["mean"][name], 4) for name in figures))
    return table


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
