"""`routebalance tune`: the weights for one's own limits, and the lines to put into the configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table

from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.log_options import log_options, tell
from rb_litellm.cli.output_options import NewFile, json_option, quiet_option
from rb_litellm.cli.predictor_option import NAMED, name_option, predictor_option
from rb_litellm.cli.screen import Screen
from rb_litellm.cli.spread_options import spread_options, where
from rb_litellm.new_file import new_file

if TYPE_CHECKING:
    from rb_litellm.logs.spend_logs import SpendLog
    from rb_litellm.sim.results import RunResult
    from rb_litellm.sim.tuning import Runner, Tuned, Wishes
    from rb_litellm.spread.where import Where
    from rb_litellm.spread.work import Failed

_SHOWN = 12
_MISSED = 3
"""Exit status where no weights meet the limits."""


@click.command(context_settings={"show_default": True})
@click.option(
    "--max-p95-s",
    type=FiniteRange(0, min_open=True),
    help="Keep the 95th percentile of the end-to-end latency below this.",
)
@click.option(
    "--max-cost",
    type=FiniteRange(0, min_open=True),
    help="Keep the cost of 1,000 requests below this, in USD.",
)
@click.option(
    "--min-quality", type=FiniteRange(0, 1, min_open=True), help="Keep the mean quality above this."
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Simulate these graded answers, as `train` reads them, on the paper's cluster. May be given "
    "several times.",
)
@log_options(
    "sources",
    50_000,
    help="Take your own traffic, in place of --data, from LiteLLM's database or a file. May be given several "
    "times.",
)
@click.option(
    "--quality",
    "qualities",
    multiple=True,
    metavar="MODEL=Q",
    help="State a model's mean quality from 0 to 1. May be given several times.",
)
@predictor_option(show_default="default; none with --from-spend-logs")
@name_option("log")
@click.option("--rate", type=FiniteRange(0.01), default=12.0, help="Simulate so many requests per second.")
@click.option(
    "--requests", type=click.IntRange(50), default=1000, help="Simulate so many requests in each run."
)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    help="Draw by this seed; robustness is over all of them. May be given several times.  [default: 0, 1, 2]",
)
@click.option("--group", default="auto", help="Name this routing group in the lines for the configuration.")
@click.option("--out", type=NewFile(), help="Write these lines to this file, which must not exist yet.")
@spread_options
@json_option
@quiet_option
def tune(
    max_p95_s: float | None,
    max_cost: float | None,
    min_quality: float | None,
    data: tuple[Path, ...],
    sources: tuple[str, ...],
    max_rows: int,
    strict: bool,
    qualities: tuple[str, ...],
    predictor: str | None,
    names: tuple[str, ...],
    rate: float,
    requests: int,
    seeds: tuple[int, ...],
    group: str,
    out: Path | None,
    jobs: int | None,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search the weights whose simulation is best within the limits; ends with status 3 if none is."""
    from rb_litellm.logs.spend_logs import read_spend_logs
    from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
    from rb_litellm.sim.tuning import Wishes
    from rb_litellm.sim.tuning import tune as search
    from rb_litellm.spread.work import Failed

    if bool(data) == bool(sources):
        raise click.UsageError("give either --data or --from-spend-logs")
    place = where(jobs, scheduler)
    wishes = Wishes(max_p95_s, max_cost, min_quality)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
            task = progress.add_task("simulating", total=None)

            def told(result: RunResult | Failed) -> None:
                if not isinstance(result, Failed):
                    progress.update(task, advance=1, description=f"{result.policy} at {result.rate:g}/s")

            if sources:
                read = read_spend_logs(sources, max_rows, strict=strict)
                runner, rate = _replayed(read, qualities, predictor or "none", names, place, told), 1.0
                members = logged_members(read, group)
                if not quiet:
                    tell(read.report)
            else:
                runner = _simulated(data, predictor or "default", requests, place, told)
                members = [tier.model for tier in PAPER_CLUSTER.tiers]
            with runner as run:
                found = search(run, wishes, rate, seeds or (0, 1, 2))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    lines = snippet(found, wishes, group, members)
    if as_json:
        click.echo(json.dumps(_document(found, lines)))
    else:
        _show(found, lines, "times the logged load" if sources else "requests/s")
    # What took minutes to find has been told where the file finds no room.
    if out is not None:
        with new_file(out) as file:
            file.write(lines)
    if not found.meets:
        raise SystemExit(_MISSED)


def logged_members(read: SpendLog, group: str) -> list[str]:
    """The model groups that the calls of a log went to, for a routing group over them."""
    from rb_litellm.logs.decisions import decided_group

    return sorted({decided_group(call) or call.group or call.model for call in read.calls} - {group})


def snippet(found: Tuned, wishes: Wishes, group: str, members: Sequence[str]) -> str:
    """The routing group with its arguments as YAML; limits that are missed are told in it."""
    best = found.best.as_json()
    missed = "".join(f"# MISSED: {told}\n" for told in found.best.missed(wishes))
    weights = ", ".join(f"{name}: {value:g}" for name, value in best["weights"].items())
    return (
        f"# simulated: quality {best['quality']:.3f}, p95 E2E {best['p95_e2e_s']:.2f} s, "
        f"{best['cost_usd_per_1k']:.4g} USD per 1,000 requests\n"
        f"{missed}"
        "router_settings:\n"
        "  routing_groups:\n"
        f"    - group_name: {json.dumps(group)}\n"
        f"      models: [{', '.join(json.dumps(model) for model in dict.fromkeys(members))}]\n"
        "      routing_strategy: routebalance\n"
        "      routing_strategy_args:\n"
        f"        weights: {{{weights}}}\n"
    )


@contextmanager
def _simulated(
    data: Sequence[Path],
    predictor: str,
    requests: int,
    place: Where,
    told: Callable[[RunResult | Failed], None],
) -> Iterator[Runner]:
    from rb_litellm.sim.world import Run, World, WorldFiles
    from rb_litellm.spread.work import Work, whole

    trained = None if predictor in NAMED else Path(predictor)
    world = WorldFiles(tuple(data), predictor=trained, by_priors=predictor == "none").load()
    with place.team(Work(World.run, world, Run.title)) as team:
        yield lambda policies, rates, seeds: whole(
            team.map(
                [
                    Run(policy, rate, seed, requests)
                    for rate in rates
                    for seed in seeds
                    for policy in policies
                ],
                told,
            )
        )


@contextmanager
def _replayed(
    read: SpendLog,
    qualities: Sequence[str],
    predictor: str,
    names: Sequence[str],
    place: Where,
    told: Callable[[RunResult | Failed], None],
) -> Iterator[Runner]:
    from rb_litellm.cli.decide.replay import replay_of
    from rb_litellm.cli.named_values import read_pairs, read_qualities
    from rb_litellm.replay.candidates import Candidate, Traffic
    from rb_litellm.spread.work import Work, whole

    log = replay_of(read, read_qualities(qualities), predictor, dict(read_pairs("name", names)))
    with place.team(Work(Traffic.run, log.traffic(), Candidate.title)) as team:
        yield lambda policies, loads, seeds: whole(
            team.map(
                [Candidate(policy, load, seed) for load in loads for seed in seeds for policy in policies],
                told,
            )
        )


def _document(found: Tuned, lines: str) -> dict[str, Any]:
    return {
        "meets": found.meets,
        "best": found.best.as_json(),
        "front": [point.as_json() for point in found.front],
        "robust": [
            {"rate": round(rate, 4), "met_share": round(met, 4), "seeds": point.runs, **point.as_json()}
            for rate, point, met in found.robust
        ],
        "config": lines,
    }


def _show(found: Tuned, lines: str, unit: str) -> None:
    console = Screen()
    if not found.meets:
        console.print("[yellow]No weights meet the limits; these miss them least.[/yellow]")
    console.print(_table("The front", "weights", [(None, p.as_json(), None) for p in found.front[:_SHOWN]]))
    rows = [(f"{rate:g}", p.as_json(), f"{met:.0%} of {p.runs}") for rate, p, met in found.robust]
    console.print(_table(f"The chosen weights at other loads ({unit})", "load", rows))
    console.print(Syntax(lines, "yaml", background_color="default"))


def _table(title: str, first: str, rows: Sequence[tuple[str | None, dict[str, Any], str | None]]) -> Table:
    table = Table(first, title=title, title_justify="left")
    for name in ("quality", "mean E2E s", "p95 E2E s", "USD/1k", "seeds within the limits"):
        table.add_column(name, justify="right")
    for label, point, met in rows:
        weights = " ".join(f"{value:g}" for value in point["weights"].values())
        figures = (point[name] for name in ("quality", "mean_e2e_s", "p95_e2e_s", "cost_usd_per_1k"))
        table.add_row(label or weights, *(f"{figure:.4g}" for figure in figures), met or "")
    return table
