"""`routebalance experiment NAME`: one of the published experiments, with the claims it decides."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rb_litellm.cli.output_options import ReportFolder, json_option, quiet_option
from rb_litellm.cli.screen import Screen, progress_bar
from rb_litellm.cli.spread_options import FAILED, failed_as_json, spread_options, tell_failed, where
from rb_litellm.suggestion import did_you_mean

if TYPE_CHECKING:
    from rb_litellm.sim.report.blocks import Block
    from rb_litellm.sim.results import RunResult
    from rb_litellm.sim.world import Run
    from rb_litellm.spread.where import Where
    from rb_litellm.spread.work import Failed


_TABLES_ALONE = ("incidents", "failures", "agents", "efforts", "mooncake", "cascade", "best-of")
"""Experiments whose results are not those of single runs, of which a report is made."""
_JUDGED = ("cascade", "best-of")


@click.command(context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Read graded answers from this file; `incidents`, `failures`, `agents` and `mooncake` need none. "
    "May be given several times. A predictor is trained on the part that is not simulated.",
)
@click.option("--cluster", default="paper", help="Simulate these servers: paper, or a YAML file of tiers.")
@click.option(
    "--predictor",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Use the predictor of this folder of `train`, in place of one trained here; prompts that it has "
    "seen are not simulated.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, help="Run with so many seeds: 0, 1, ...")
@click.option("--requests", type=click.IntRange(50), default=3534, help="Send so many requests in each run.")
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this file of a trace, for `azure`, `targets`, `norms` and `mooncake`.",
)
@spread_options
@click.option("--out", type=ReportFolder(), help="Write JSON, Parquet, a page and plots to this folder.")
@click.option("--plots", type=ReportFolder(), help="Write the plots alone, as PNGs, to this folder.")
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print tables for a README.")
@quiet_option
def experiment(
    name: str,
    data: tuple[Path, ...],
    cluster: str,
    predictor: Path | None,
    seeds: int,
    requests: int,
    trace: Path | None,
    jobs: int | None,
    scheduler: str | None,
    out: Path | None,
    plots: Path | None,
    as_json: bool,
    as_markdown: bool,
    quiet: bool,
) -> None:
    """Carry out an experiment.

    NAME is cluster, paper-table, front, litellm, rivals, bursts, scale, azure, ablations, slo, targets,
    norms, reference, hold, incidents, failures, agents, efforts, cascade, best-of or mooncake. `agents`
    takes a turn of 50 to 150 calls for each 100 `--requests`.
    """
    place = where(jobs, scheduler)
    if name in _TABLES_ALONE and (out or plots):
        raise click.UsageError(f"--out and --plots are not for {name}, which prints tables; see --json.")
    if name == "incidents":
        _incidents(seeds, place, as_json, as_markdown, quiet)
        return
    if name == "failures":
        _failures(seeds, place, as_json, as_markdown, quiet)
        return
    if name == "agents":
        _agents(max(requests // 100, 1), seeds, place, as_json, as_markdown, quiet)
        return
    if name == "efforts":
        _efforts(requests, seeds, place, as_json, as_markdown, quiet)
        return
    if name == "mooncake":
        _mooncake(trace, requests, seeds, place, as_json, as_markdown, quiet)
        return
    if name not in _JUDGED:
        _check_name(name)
    if not data:
        raise click.UsageError("Missing option '--data'.")
    if name in _JUDGED:
        _judged(name, data, cluster, predictor, requests, seeds, place, as_json, as_markdown, quiet)
        return
    from rb_litellm.sim.experiments.measured import Scale
    from rb_litellm.sim.experiments.registry import carry_out, named
    from rb_litellm.sim.report.blocks import Block
    from rb_litellm.sim.report.tables import runs_table
    from rb_litellm.sim.servers.cluster_file import load_cluster
    from rb_litellm.sim.training import train_for
    from rb_litellm.sim.world import WorldFiles

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, progress_bar(quiet) as progress:
        task = progress.add_task("reading", total=None)

        def ran(run: RunResult | Failed) -> None:
            progress.update(task, advance=1, description=getattr(run, "policy", "one failed"))

        try:
            chosen = named(name)
            scale = Scale(tuple(range(seeds)), requests, trace)
            total = len(chosen.runs(scale))
            servers = load_cluster(cluster)
            if predictor is None:
                progress.update(task, description="training")
                predictor = train_for(data, servers, Path(scratch) / "predictor")
            progress.update(task, total=total)
            files = WorldFiles(data, servers, predictor)
            measured, failed = carry_out(chosen, files, scale, place, ran)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
    tell_failed(failed, total)
    results = [result for _, result in measured.pairs]
    # Claims are about all runs; where some failed, the others are shown without.
    blocks = [Block(runs_table(results))] if failed else chosen.blocks(measured)
    document = {
        "experiment": name,
        "cluster": cluster,
        "requests": requests,
        "seeds": list(scale.seeds),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "blocks": [block.as_json() for block in blocks],
        "runs": [{**_settings(run), **result.as_json()} for run, result in measured.pairs],
        "failed": failed_as_json(failed),
        "wall_s": round(time.perf_counter() - started, 1),
        "sim_s": round(sum(result.sim_s for result in results), 1),
    }
    if out or plots:
        from rb_litellm.sim.report.files import write_plots, write_report

        try:
            if out:
                write_report(out, chosen.title, results, document, blocks)
            if plots:
                write_plots(plots, results, f"{name}-")
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
    _print(document, blocks, as_json, as_markdown)
    if not (as_json or as_markdown):
        Screen().print(
            f"{len(results)} runs, {document['sim_s']} s simulated in {document['wall_s']} s; "
            f"seeds 0..{seeds - 1}; {document['machine']}"
        )
    if failed:
        raise SystemExit(FAILED)


def _check_name(name: str) -> None:
    """Before data are asked for that may be at hand for no experiment of this name."""
    from rb_litellm.sim.experiments.registry import NAMES

    known = (*NAMES, *_TABLES_ALONE)
    if name not in known:
        hint = did_you_mean(name, known)
        raise click.ClickException(f"unknown experiment {name!r}; {hint}there are {', '.join(known)}")


def _incidents(seeds: int, place: Where, as_json: bool, as_markdown: bool, quiet: bool) -> None:
    """Its world is made up, so that it needs no data; it is judged in means over the seeds."""
    from rb_litellm.sim.experiments.loads import incidents

    with _advancing("incidents", quiet) as progress:
        found = incidents.carry_out(range(seeds), place, progress)
    blocks = incidents.blocks(found)
    _print({"seeds": seeds, "incidents": incidents.as_json(found)}, blocks, as_json, as_markdown)


def _failures(seeds: int, place: Where, as_json: bool, as_markdown: bool, quiet: bool) -> None:
    """Its world is made up, so that it needs no data; figures are means over the seeds."""
    from rb_litellm.sim.experiments.loads import failures

    with _advancing("failures", quiet) as progress:
        found = failures.carry_out(range(seeds), place, progress)
    blocks = failures.blocks(found)
    claims = [claim for block in blocks for claim in block.as_json()["claims"]]
    document = {"seeds": seeds, "scenes": failures.as_json(found), "claims": claims}
    _print(document, blocks, as_json, as_markdown)


def _agents(turns: int, seeds: int, place: Where, as_json: bool, as_markdown: bool, quiet: bool) -> None:
    """Its world is made up, so that it needs no data."""
    from rb_litellm.sim.experiments.features import agents

    with _advancing("agents", quiet) as progress:
        found = agents.carry_out(turns, range(seeds), place, progress)
    blocks = agents.blocks(found)
    claims = [claim for block in blocks for claim in block.as_json()["claims"]]
    document = {"turns": turns, "seeds": seeds, "policies": agents.as_json(found), "claims": claims}
    _print(document, blocks, as_json, as_markdown)


def _efforts(requests: int, seeds: int, place: Where, as_json: bool, as_markdown: bool, quiet: bool) -> None:
    """Its world is made up, so that it needs no data."""
    from rb_litellm.sim.experiments.features import efforts

    with _advancing("efforts", quiet) as progress:
        found = efforts.carry_out(requests, range(seeds), place, progress)
    blocks = efforts.blocks(found)
    claims = [claim for block in blocks for claim in block.as_json()["claims"]]
    document = {"requests": requests, "seeds": seeds, "policies": efforts.as_json(found), "claims": claims}
    _print(document, blocks, as_json, as_markdown)


def _judged(
    name: str,
    data: tuple[Path, ...],
    cluster: str,
    predictor: Path | None,
    requests: int,
    seeds: int,
    place: Where,
    as_json: bool,
    as_markdown: bool,
    quiet: bool,
) -> None:
    """What is right is known of every prompt and model's first answer; the judge is made up."""
    from rb_litellm.sim.experiments.features import best_of, cascade, judged_answers
    from rb_litellm.sim.servers.cluster_file import load_cluster
    from rb_litellm.sim.training import train_for
    from rb_litellm.sim.world import WorldFiles

    with tempfile.TemporaryDirectory() as scratch, _advancing(name, quiet) as progress:
        servers = load_cluster(cluster)
        known = predictor or train_for(data, servers, Path(scratch) / "predictor")
        files = WorldFiles(data, servers, known)
        if name == "cascade":
            pairs = cascade.carry_out(files, requests, range(seeds), place, progress)
            blocks, policies = cascade.blocks(pairs), judged_answers.as_json(pairs)
        else:
            found = best_of.carry_out(files, requests, range(seeds), place, progress)
            blocks, policies = best_of.blocks(found), judged_answers.as_json(found)
    claims = [claim for block in blocks for claim in block.as_json()["claims"]]
    document = {"requests": requests, "seeds": seeds, "policies": policies, "claims": claims}
    _print(document, blocks, as_json, as_markdown)


def _mooncake(
    trace: Path | None,
    requests: int,
    seeds: int,
    place: Where,
    as_json: bool,
    as_markdown: bool,
    quiet: bool,
) -> None:
    """Its world is the trace, on servers of its own."""
    from rb_litellm.sim.experiments.loads import mooncake

    if trace is None:
        raise click.UsageError("Missing option '--trace': JSON lines with arrival_s and prefix_blocks.")
    with _advancing("mooncake", quiet) as progress:
        found = mooncake.carry_out(trace, requests, range(seeds), place, progress)
    blocks = mooncake.blocks(found)
    claims = [claim for block in blocks for claim in block.as_json()["claims"]]
    document = {"requests": requests, "seeds": seeds, "policies": mooncake.as_json(found), "claims": claims}
    _print(document, blocks, as_json, as_markdown)


@contextmanager
def _advancing(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; what is not usable ends the command."""
    with progress_bar(quiet) as progress:
        task = progress.add_task(name, total=None)
        try:
            yield lambda done, of: progress.update(task, completed=done, total=of)
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def _print(document: dict[str, object], blocks: Sequence[Block], as_json: bool, as_markdown: bool) -> None:
    if as_json:
        click.echo(json.dumps(document))
    elif as_markdown:
        click.echo("\n".join(block.as_markdown() for block in blocks))
    else:
        for block in blocks:
            block.show(Screen())


def _settings(run: Run) -> dict[str, object]:
    """What distinguishes a run beside policy, rate and seed."""
    names = ("arrivals", "workload", "deployments", "workers", "gauges_s")
    changes = [asdict(incident) for incident in run.incidents]
    if run.repriced is not None:
        changes.append(asdict(run.repriced))
    return {**{name: getattr(run, name) for name in names}, "changes": changes}
