"""`routebalance bench decision` and `rate`: what a decision costs, and how many are made in a second."""

from __future__ import annotations

from pathlib import Path

import click

from rb_litellm.cli.figures import machine, packages_of, progress, show
from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import json_option, quiet_option

_predictor_option = click.option(
    "--predictor",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Use the predictor of this folder of `train`; by default a placeholder of the usual size.",
)


@click.command(short_help="Time a pick, for every strategy.")
@_predictor_option
@click.option(
    "--deployments",
    "sizes",
    type=int,
    multiple=True,
    default=(13, 128, 1000),
    show_default=True,
    help="Pick among so many deployments. May be given several times.",
)
@click.option(
    "--picks",
    type=click.IntRange(20, 100_000),
    default=400,
    show_default=True,
    help="Time so many picks of each strategy.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draw by this seed.")
@click.option(
    "--beside",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Measure the checkout in this folder in turns with this one, both by processor time.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="With --beside, let each take so many turns.",
)
@json_option
@quiet_option
def decision(
    predictor: Path | None,
    sizes: tuple[int, ...],
    picks: int,
    seed: int,
    beside: Path | None,
    rounds: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Time a pick through a real Router, for every strategy, and RouteBalance's part alone."""
    told = progress(quiet)
    if beside is not None:
        rows = _beside(predictor, sizes, picks, seed, beside, rounds, quiet)
        show({"beside": str(beside), "rounds": rounds, "rows": rows, "machine": machine()}, as_json)
        return
    from rb_litellm.bench.decisions.picks import run

    result = {
        **run(predictor, sizes, picks, seed, lambda size: told(f"{size} deployments measured")),
        "machine": machine(),
    }
    show(result, as_json)


def _beside(
    predictor: Path | None,
    sizes: tuple[int, ...],
    picks: int,
    seed: int,
    beside: Path,
    rounds: int,
    quiet: bool,
) -> list[dict[str, object]]:
    with packages_of("demo"):
        from rb_litellm.bench.decisions.builds import BuildFailed, compare

    command = ["bench", "decision", "--json", "--quiet", "--picks", str(picks), "--seed", str(seed)]
    for size in sizes:
        command += ["--deployments", str(size)]
    if predictor is not None:
        command += ["--predictor", str(predictor.resolve())]
    try:
        return compare(
            beside, command, rounds, ("strategy", "deployments", "part", "batch"), "p50_us", progress(quiet)
        )
    except BuildFailed as error:
        raise click.ClickException(str(error)) from error


@click.command(short_help="Count decisions a second.")
@_predictor_option
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Decide in so many processes at once.",
)
@click.option(
    "--deployments",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Decide among so many deployments.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 64),
    default=32,
    show_default=True,
    help="Let so many requests come at once.",
)
@click.option(
    "--seconds",
    type=FiniteRange(0.1, 600.0),
    default=5.0,
    show_default=True,
    help="Decide for so long.",
)
@json_option
def rate(
    predictor: Path | None, processes: int, deployments: int, batch: int, seconds: float, as_json: bool
) -> None:
    """Count the decisions of processes that decide one batch after the other, as workers of a proxy do."""
    from rb_litellm.bench.decisions.rate import run

    show({**run(predictor, processes, deployments, batch, seconds), "machine": machine()}, as_json)
