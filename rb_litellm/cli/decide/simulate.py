"""`routebalance simulate`: policies against each other on a simulated cluster, on the same arrivals."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import ReportFolder, json_option, quiet_option
from rb_litellm.cli.predictor_option import NAMED, predictor_option
from rb_litellm.cli.screen import Screen, progress_bar
from rb_litellm.cli.spread_options import FAILED, failed_as_json, spread_options, tell_failed, where

if TYPE_CHECKING:
    from rb_litellm.sim.results import RunResult


@click.command(context_settings={"show_default": True})
@click.option("--cluster", default="paper", help="Simulate these servers: paper, or a YAML file of tiers.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="Run this policy; a wrong name lists all. May be given several times.",
)
@click.option(
    "--rate",
    "rates",
    type=FiniteRange(0.01),
    multiple=True,
    help="Let so many requests arrive per second. May be given several times.",
)
@click.option("--requests", type=click.IntRange(1), default=3534, help="Send so many requests in each run.")
@click.option(
    "--seed", "seeds", type=int, multiple=True, help="Draw by this seed. May be given several times."
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Read graded answers as `train` does; part of the prompts is kept for trained routers. May be "
    "given several times.",
)
@predictor_option(default="default")
@click.option("--train", "trains", is_flag=True, help="Train a predictor first, on the part kept for it.")
@click.option(
    "--arrivals",
    default="poisson",
    help="Let requests arrive by poisson, gamma:SHAPE, square:LO,HI, ramp:LO,HI, or a file of rows.",
)
@click.option(
    "--workload",
    type=click.Choice(["prompts", "conversations"]),
    default="prompts",
    help="Send single prompts, or conversations (Poisson) that share system prompts and their past.",
)
@click.option(
    "--quality-norm",
    type=click.Choice(["raw", "minmax", "scaled"]),
    default="raw",
    help="Bring quality to this scale, as the setting of that name does.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    help="Let RouteBalance decide in so many proxy workers.",
)
@click.option(
    "--gauge-ms",
    type=FiniteRange(1),
    default=200.0,
    help="Let workers exchange their loads every so many milliseconds.",
)
@click.option(
    "--scoring-ms",
    type=FiniteRange(0),
    help="Let a quality router take so long to score a prompt.  [default: as measured; 9, serial forms 65]",
)
@click.option("--slo-e2e-ms", type=FiniteRange(1), help="Judge every request by this E2E.")
@click.option("--out", type=ReportFolder(), help="Write JSON, Parquet, a page and plots to this folder.")
@spread_options
@json_option
@quiet_option
def simulate(
    cluster: str,
    policies: tuple[str, ...],
    rates: tuple[float, ...],
    requests: int,
    seeds: tuple[int, ...],
    data: tuple[Path, ...],
    predictor: str,
    trains: bool,
    arrivals: str,
    workload: Literal["prompts", "conversations"],
    quality_norm: Literal["raw", "minmax", "scaled"],
    workers: int,
    gauge_ms: float,
    scoring_ms: float | None,
    slo_e2e_ms: float | None,
    out: Path | None,
    jobs: int | None,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run policies on a simulated cluster; every policy meets the same requests."""
    from rb_litellm.sim.experiment import Experiment
    from rb_litellm.sim.servers.cluster_file import load_cluster
    from rb_litellm.sim.training import train_for
    from rb_litellm.sim.world import Run
    from rb_litellm.spread.work import Failed

    if trains and predictor != "default":
        raise click.UsageError("--train makes a predictor, --predictor brings one: give one of them")
    place = where(jobs, scheduler)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, progress_bar(quiet) as progress:
        task = progress.add_task("simulating", total=None)

        def ran(run: RunResult | Failed) -> None:
            progress.update(task, advance=1, description=getattr(run, "policy", "one failed"))

        try:
            servers = load_cluster(cluster)
            if trains:
                progress.update(task, description="training")
                predictor = str(train_for(data, servers, Path(scratch) / "predictor"))
            experiment = Experiment(
                cluster=servers,
                data=data,
                policies=policies
                or ("routebalance:balanced", "litellm:simple-shuffle", "litellm:least-busy"),
                rates=rates or (12.0,),
                seeds=seeds or (0,),
                requests=requests,
                like=Run(
                    "",
                    1.0,
                    arrivals=arrivals,
                    workload=workload,
                    quality_norm=quality_norm,
                    workers=workers,
                    gauges_s=gauge_ms / 1000.0,
                    scoring_s=None if scoring_ms is None else scoring_ms / 1000.0,
                    sample_s=1.0 if out else None,
                    slo_e2e_s=None if slo_e2e_ms is None else slo_e2e_ms / 1000.0,
                ),
                predictor=None if predictor in NAMED else Path(predictor),
                by_priors=predictor == "none",
            )
            progress.update(task, total=len(experiment.runs()))
            outcomes = experiment.run(ran, place)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
    failed = [one for one in outcomes if isinstance(one, Failed)]
    tell_failed(failed, len(outcomes))
    results = [one for one in outcomes if not isinstance(one, Failed)]
    rows = [result.as_json() for result in results]
    document = {
        "cluster": cluster,
        "requests": requests,
        "runs": rows,
        "failed": failed_as_json(failed),
        "wall_s": round(time.perf_counter() - started, 3),
        "sim_s": round(sum(result.sim_s for result in results), 3),
    }
    if out:
        from rb_litellm.sim.report.files import write_report

        try:
            write_report(out, f"Simulated: {cluster} cluster", results, document)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(document))
    else:
        from rb_litellm.sim.report.blocks import Block
        from rb_litellm.sim.report.tables import runs_table

        Block(runs_table(results)).show(Screen())
    if failed:
        raise SystemExit(FAILED)
