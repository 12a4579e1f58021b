"""`routebalance replay`: what other weights, strategies or clusters would have made of one's own traffic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.log_options import log_options, tell
from rb_litellm.cli.named_values import read_numbers, read_pairs, read_qualities
from rb_litellm.cli.output_options import NewFile, json_option, quiet_option
from rb_litellm.cli.predictor_option import NAMED, name_option, predictor_option
from rb_litellm.cli.screen import Screen, progress_bar

if TYPE_CHECKING:
    from rb_litellm.logs.spend_logs import SpendLog
    from rb_litellm.replay.whatif import Replay

_MOST_USD = 1e6
"""What a server may cost an hour."""
_DEFAULT = (
    "as-logged",
    "routebalance:balanced",
    "routebalance:quality",
    "routebalance:latency",
    "routebalance:cost",
    "litellm:simple-shuffle",
    "litellm:least-busy",
    "litellm:latency-based-routing",
)


@click.command(context_settings={"show_default": True})
@log_options("sources", 50_000, required=True)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="Run this policy; a wrong name lists all. May be given several times.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="NAME[=N]",
    help="Leave out a deployment, or N servers of a model. May be given several times.",
)
@click.option(
    "--add",
    multiple=True,
    metavar="MODEL[=N]",
    help="Add one server of a model, or N. May be given several times.",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="NAME=IN,OUT",
    help="Set the price of a model or deployment in USD per million tokens. May be given several times.",
)
@click.option(
    "--measured",
    multiple=True,
    metavar="NAME=FILE",
    help="Take a server as `calibrate --out FILE` measured it, not as the log shows it. May be given several "
    "times.",
)
@click.option(
    "--scene",
    "scenes",
    multiple=True,
    metavar="CHANGES",
    help="Try these changes beside it: 'add MODEL; without NAME=1; price NAME=IN,OUT; load 1.5'. May be "
    "given several times.",
)
@click.option(
    "--hourly",
    multiple=True,
    metavar="MODEL=USD",
    help="Say what a server of a model costs an hour, busy or not. May be given several times.",
)
@click.option(
    "--quality",
    "qualities",
    multiple=True,
    metavar="MODEL=Q",
    help="State a model's mean quality from 0 to 1. May be given several times.",
)
@click.option(
    "--load",
    type=FiniteRange(0.01, 100.0),
    default=1.0,
    help="Let requests arrive so many times faster.",
)
@predictor_option(default="none")
@name_option("log")
@click.option("--poor-fits", is_flag=True, help="Simulate deployments too whose fit cannot be trusted.")
@click.option(
    "--html",
    type=NewFile(),
    help="Write a report for reading to this file, which must not exist yet. Without a change it tries one "
    "server more and fewer of each model, too.",
)
@click.option("--seed", type=int, default=0, help="Draw by this seed.")
@json_option
@quiet_option
def replay(
    sources: tuple[str, ...],
    policies: tuple[str, ...],
    without: tuple[str, ...],
    add: tuple[str, ...],
    prices: tuple[str, ...],
    measured: tuple[str, ...],
    scenes: tuple[str, ...],
    hourly: tuple[str, ...],
    qualities: tuple[str, ...],
    load: float,
    predictor: str,
    names: tuple[str, ...],
    poor_fits: bool,
    html: Path | None,
    max_rows: int,
    strict: bool,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fit a cluster to LiteLLM's spend logs, check the fit, and run policies on the logged arrivals."""
    from rb_litellm.logs.classify import FAILED
    from rb_litellm.logs.spend_logs import read_spend_logs
    from rb_litellm.replay.intervals import DAY_S
    from rb_litellm.replay.report import write_report
    from rb_litellm.replay.scenes import judged_runs, more_and_fewer, play, read_prices, read_scene
    from rb_litellm.replay.whatif import AS_LOGGED, Change
    from rb_litellm.sim.servers.calibrated import calibrated

    chosen = policies or tuple(name for name in _DEFAULT if not (without and name == AS_LOGGED))
    try:
        servers = {name: calibrated(Path(file)) for name, file in read_pairs("measured", measured)}
        change = Change(without, add, read_prices(prices), load, servers)
        beside = [read_scene(text) for text in scenes]
        quality = read_qualities(qualities)
        costs = read_numbers("hourly", hourly, _MOST_USD, "an amount of USD")
        with progress_bar(quiet) as progress:
            task = progress.add_task("reading the log", total=len(chosen) + 2)
            read = read_spend_logs(sources, max_rows, strict=strict)
            progress.update(task, advance=1, description="fitting")
            log = replay_of(read, quality, predictor, dict(read_pairs("name", names)), poor_fits)
            checks = log.check()
            progress.update(task, advance=1)
            if html is not None and not scenes and change == Change():
                beside = more_and_fewer(log)
            elsewhere = _main_policy(chosen)
            progress.update(task, total=len(chosen) + 2 + len(beside) * len(elsewhere))

            def ran(name: str) -> None:
                progress.update(task, advance=1, description=name)

            results = log.run(chosen, change, seed, ran)
            judged, pieces = judged_runs(log, results, seed, change, costs)
            played = play(log, beside, elsewhere, costs, seed, ran)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    document = {
        "source_calls": read.report.calls,
        "log": read.report.as_json(),
        **log.told(),
        "failed_calls": sum(rows for (why, _), rows in read.report.left_out.items() if why == FAILED),
        "fit": [check.as_json() for check in checks],
        "runs": [result.as_json() for result in results],
    }
    document["hourly_usd"] = costs
    document["judged"] = {
        "by": pieces.unit,
        "pieces": pieces.count,
        "days": round(pieces.span_s / DAY_S, 3),
        "runs": [one.as_json() for one in judged],
    }
    document["scenes"] = [
        {
            "scene": one.scene.title,
            "runs": [run.as_json() for run in one.runs],
            "judged": [told.as_json() for told in one.judged],
        }
        for one in played
    ]
    if html is not None:
        write_report(html, log, judged, pieces, document, change, played)
    if as_json:
        click.echo(json.dumps(document))
        return
    if not quiet:
        tell(read.report)
    _show(document, checks[0].median_error)


def _main_policy(chosen: Sequence[str]) -> list[str]:
    """The policy by which other clusters are tried: RouteBalance's first, else the first that chooses."""
    from rb_litellm.replay.whatif import AS_LOGGED

    ours = [name for name in chosen if name.startswith("routebalance")]
    return [*ours, *(name for name in chosen if name != AS_LOGGED), "routebalance:balanced"][:1]


def replay_of(
    read: SpendLog,
    quality: Mapping[str, float],
    predictor: str,
    names: Mapping[str, str],
    poor_fits: bool = False,
) -> Replay:
    """The log's replay; an error of an empty one tells what was left out of it."""
    from rb_litellm.replay.whatif import Replay

    if not read.calls:
        raise ValueError(f"the log holds no call to replay: {read.report}")
    folder = None if predictor in NAMED else Path(predictor)
    return Replay(read.calls, quality, folder, names, poor_fits, by_default=predictor == "default")


def _show(document: dict[str, Any], median_error: float) -> None:
    from rb_litellm.replay.check import GOOD_MEDIAN_ERROR

    console = Screen()
    console.print(_fit_table(document["fit"]))
    if median_error > GOOD_MEDIAN_ERROR:
        console.print(
            f"[yellow]The median error of E2E is {median_error:.0%}: read the seconds below as a comparison "
            "of policies, not as a forecast.[/yellow]"
        )
    if document["quick_calls"]:
        console.print(
            f"Left aside: {document['quick_calls']} calls, answered too quickly to have come from a model."
        )
    if document["gap_days"]:
        console.print(
            f"[yellow]Some rows lie far from all others: {document['gap_days']:,} days without a call count "
            "in no sum per month. Their times may be wrong.[/yellow]"
        )
    for one in document["not_simulated"]:
        console.print(
            f"[yellow]Not simulated, with its {one['calls']} calls: {one['deployment']}; {one['why']}. "
            "--poor-fits simulates it all the same.[/yellow]"
        )
    if document["predictor"]["not_known"]:
        console.print(
            f"The predictor does not know {', '.join(document['predictor']['not_known'])}: "
            "their quality is a mean, by --quality or by their size."
        )
    console.print(_runs_table(f"What if: the same {document['replayed_calls']} arrivals", document["runs"]))
    for one in document["scenes"]:
        console.print(_runs_table(one["scene"], one["runs"]))


def _fit_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = _table(
        "The fit: E2E (s) as logged / simulated with the log's own routing; median error",
        ("deployment", "speed from", "calls", "aside", "mean", "p95", "off by"),
    )
    for row in rows:
        table.add_row(
            row["deployment"],
            row["origin"],
            str(row["calls"]),
            str(row["quick"] + row["slow"]),
            f"{row['logged_mean_e2e_s']:.2f} / {row['simulated_mean_e2e_s']:.2f}",
            f"{row['logged_p95_e2e_s']:.2f} / {row['simulated_p95_e2e_s']:.2f}",
            f"{row['median_error']:.1%}",
        )
    return table


def _runs_table(what: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = _table(
        f"{what}; quality is expected, times are in s",
        ("policy", "mean E2E", "p95 E2E", "p95 TTFT", "quality", "USD/1k", "failed"),
    )
    for row in rows:
        table.add_row(
            row["policy"],
            f"{row['mean_e2e_s']:.2f}",
            f"{row['p95_e2e_s']:.2f}",
            f"{row['p95_ttft_s']:.2f}",
            f"{row['quality']:.3f}",
            f"{row['cost_usd_per_1k']:.4g}",
            str(row["failed"]),
        )
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    """The first column folds rather than being cut off: two policies must never look alike."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table
