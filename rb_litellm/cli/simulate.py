"""`routebalance simulate`: policies against each other on a simulated cluster, on the same arrivals."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


@click.command(context_settings={"show_default": True})
@click.option("--cluster", type=click.Choice(["paper"]), default="paper", help="Servers to simulate.")
@click.option("--policy", "policies", multiple=True, help="Repeatable; a wrong name lists all.")
@click.option("--rate", "rates", type=click.FloatRange(0.01), multiple=True, help="Requests/s; repeatable.")
@click.option("--requests", type=click.IntRange(1), default=3534, help="Requests of each run.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Repeatable.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Graded answers, as for `train`; part of the prompts is kept for trained routers.",
)
@click.option(
    "--predictor", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of `train`."
)
@click.option("--arrivals", default="poisson", help="poisson, gamma:SHAPE, square:LO,HI or a CSV file.")
@click.option("--quality-norm", type=click.Choice(["raw", "minmax", "scaled"]), default="raw")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Proxy workers of RouteBalance.")
@click.option("--gauge-ms", type=click.FloatRange(1), default=200.0, help="Between exchanges of workers.")
@click.option(
    "--scoring-ms", type=click.FloatRange(0), default=9.0, help="Time of a router's model to score a prompt."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress.")
def simulate(
    cluster: str,
    policies: tuple[str, ...],
    rates: tuple[float, ...],
    requests: int,
    seeds: tuple[int, ...],
    data: tuple[Path, ...],
    predictor: Path | None,
    arrivals: str,
    quality_norm: Literal["raw", "minmax", "scaled"],
    workers: int,
    gauge_ms: float,
    scoring_ms: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run policies on a simulated cluster; every policy meets the same requests."""
    from rb_litellm.sim.cluster import PAPER_CLUSTER
    from rb_litellm.sim.experiment import Experiment

    experiment = Experiment(
        cluster=PAPER_CLUSTER,
        data=data,
        policies=policies or ("routebalance:balanced", "litellm:simple-shuffle", "litellm:least-busy"),
        rates=rates or (12.0,),
        seeds=seeds or (0,),
        requests=requests,
        arrivals=arrivals,
        predictor=predictor,
        quality_norm=quality_norm,
        workers=workers,
        gauges_s=gauge_ms / 1000.0,
        scoring_s=scoring_ms / 1000.0,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    started = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
        total = len(experiment.policies) * len(experiment.rates) * len(experiment.seeds)
        task = progress.add_task("simulating", total=total)
        try:
            results = experiment.run(lambda run: progress.update(task, advance=1, description=run.policy))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    rows = [result.as_json() for result in results]
    if as_json:
        document = {
            "cluster": cluster,
            "requests": requests,
            "runs": rows,
            "wall_s": round(time.perf_counter() - started, 3),
            "sim_s": round(sum(result.sim_s for result in results), 3),
        }
        click.echo(json.dumps(document))
    else:
        Console().print(_table(rows))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Simulated, times in s")
    names = (
        "policy",
        "rate",
        "seed",
        "mean_e2e_s",
        "p95_e2e_s",
        "p95_ttft_s",
        "quality",
        "cost_usd_per_1k",
        "failed",
    )
    for name in names:
        table.add_column(name, justify="left" if name == "policy" else "right")
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    return table
