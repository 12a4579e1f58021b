"""`routebalance evaluate`: a predictor judged on graded prompts it has not seen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table

from rb_litellm.cli.output_options import json_option, quiet_option
from rb_litellm.cli.plain_table import show_table
from rb_litellm.cli.predictor_option import judged, name_option, predictor_option, seen_prompts
from rb_litellm.cli.screen import progress_bar
from rb_litellm.excerpt import excerpt

SHOWN = 20
"""Pairs of models in the table."""


@click.command(context_settings={"show_default": True})
@predictor_option()
@click.option(
    "--model", type=click.Path(exists=True, file_okay=False), help="Old name of --predictor.", hidden=True
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Judge by the graded answers of this file, as `train` reads them. May be given several times.",
)
@name_option("data")
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read prices from this JSON file: {MODEL: USD per million tokens}.",
)
@click.option(
    "--study",
    type=click.Choice(["splits", "tasks"]),
    help="Train anew and judge: on five splits by prompt, or leaving one task out at a time.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Draw the bootstrap by this seed.")
@json_option
@quiet_option
def evaluate(
    predictor: str | None,
    model: str | None,
    data: tuple[Path, ...],
    names: tuple[str, ...],
    prices: Path | None,
    study: Literal["splits", "tasks"] | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge a predictor: each model beside the constant, each two models, each kind of prompt, and routing.

    Of two models: the share of the gap between the weak and the strong one that routing recovers, averaged
    over all shares of strong calls (APGR, 0.5 by chance), and the share of strong calls that recovers 50% and
    80% of it (CPT), as RouteLLM reports them.
    """
    from rb_litellm.cli.named_values import read_pairs
    from rb_litellm.predictors.trained.model import PredictorError
    from rb_litellm.train.data.dataset import read_dataset
    from rb_litellm.train.figures.evaluation import evaluate as judge
    from rb_litellm.train.figures.studies import study as run_study

    if model is not None:
        if predictor is not None:
            raise click.UsageError("--model is the old name of --predictor; give one of them")
        click.echo("--model is now called --predictor; the old name is still taken", err=True)
        predictor = model
    if (predictor is None) == (study is None):
        raise click.UsageError("give either --predictor default|none|DIR or --study splits|tasks")
    try:
        if predictor is not None:
            told, graded = dict(read_pairs("name", names)), read_dataset(data)
            if seen := seen_prompts(predictor, graded.prompt_ids):
                click.echo(
                    f"{seen} of the {len(graded.prompts)} prompts were trained on: "
                    "what follows says little of prompts that are new",
                    err=True,
                )
            report = judge(judged(predictor, graded.models), graded, _prices(prices), seed, told)
            report["trained_on"] = seen
            if report["left_out"]:
                click.echo(
                    f"left out, as the predictor was not taught it: {', '.join(report['left_out'])}; "
                    "--name says what it calls a model",
                    err=True,
                )
        elif study is not None:
            with progress_bar(quiet) as progress:
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
        _show_models(report["models"])
        if report["pairs"]:
            _show_pairs(report["pairs"])
        for what in ("kind", "task"):
            if report[f"{what}s"]:
                _show_kinds(what, report[f"{what}s"])
        _show_routing(report["routing"])


def _prices(path: Path | None) -> dict[str, float] | None:
    if path is None:
        return None
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.ClickException(f"--prices: {path} cannot be read ({error})") from None
    if not isinstance(given, dict):
        raise click.ClickException(f"--prices: {path} holds {type(given).__name__}; allowed is an object")
    for name, price in given.items():
        if (
            isinstance(price, bool)
            or not isinstance(price, (int, float))
            or not 0 <= price <= sys.float_info.max
        ):
            raise click.ClickException(
                f"--prices: {name} is {excerpt(price)}; allowed is a number of at least 0, "
                "USD per million tokens"
            )
    return {name: float(price) for name, price in given.items()}


def _show_models(models: dict[str, dict[str, Any]]) -> None:
    heads = ("R2", "MAE", "constant", "ECE", "length MAE", "constant", "80% holds")
    show_table(
        "By model, on these prompts, beside the constant",
        heads,
        "model",
        (
            (
                (
                    *(_shown(m[f"quality_{n}"], 3) for n in ("r2", "mae", "mae_constant", "ece")),
                    *(_shown(m[f"length_{n}"], 0) for n in ("mae", "mae_constant")),
                    _shown(m["length_coverage_80"], 2),
                ),
                name,
            )
            for name, m in models.items()
        ),
    )


def _show_pairs(pairs: list[dict[str, Any]]) -> None:
    left = f"; the {SHOWN} with the widest gap of {len(pairs)}" if len(pairs) > SHOWN else ""
    show_table(
        f"By two models; by chance APGR 0.5, CPT 50% and 80%{left}",
        ("gap", "APGR", "95% interval", "CPT 50%", "CPT 80%"),
        "strong over weak",
        ((_of_pair(pair), f"{pair['strong']}\n  over {pair['weak']}") for pair in widest(pairs)),
    )


def widest(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs that are shown."""
    return sorted(pairs, key=lambda one: -one["gap"])[:SHOWN]


def _of_pair(pair: dict[str, Any]) -> tuple[str, ...]:
    low, high = pair["ci95"]["apgr"] or (None, None)
    return (
        f"{pair['gap']:.3f}",
        f"{pair['apgr']:.3f}",
        "" if low is None else f"{low:.3f}..{high:.3f}",
        *(f"{pair[name]:.0%}" for name in ("cpt_50", "cpt_80")),
    )


def _show_kinds(what: str, report: dict[str, dict[str, Any]]) -> None:
    show_table(
        f"By {what}: the models' mean quality, predicted and measured",
        ("prompts", "models", "rank correlation", "off by", "ECE"),
        what,
        (
            (
                (
                    str(figures["prompts"]),
                    str(figures["models"]),
                    *(_shown(figures[n], 3) for n in ("rank_correlation", "calibration_error", "ece")),
                ),
                name,
            )
            for name, figures in report.items()
        ),
    )


def _show_routing(routing: dict[str, Any]) -> None:
    rows = []
    if "best_single" in routing:
        rows.append((("", ""), f"best single model: {routing['best_single']}"))
    for name, interval in routing.get("ci95", {}).items():
        if interval is not None:
            spread = f"{interval[0]:.4f}..{interval[1]:.4f}"
            rows.append(((_shown(routing[name], 4), spread), name.replace("_", " ")))
    title = f"Routing over {len(routing['models'])} models, {routing['prompts']} prompts"
    show_table(title, ("value", "95% interval"), "figure", rows)


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
