"""`routebalance bench ...`: the measurements behind the figures in docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from rb_litellm.cli.figures import machine, progress, show
from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.measure.bench_decision import decision, rate
from rb_litellm.cli.measure.bench_fleet import fleet
from rb_litellm.cli.measure.bench_floods import floods
from rb_litellm.cli.measure.bench_proxy import overhead, proxy
from rb_litellm.cli.measure.bench_state import faults, state, workers
from rb_litellm.cli.output_options import json_option, quiet_option


def _shipped_or_folder(
    _: click.Context, __: click.Parameter, value: str | None
) -> Path | Literal["default"] | None:
    if value is None or value == "default":
        return "default" if value else None
    if not Path(value).is_dir():
        raise click.BadParameter(f"{value!r} is no folder; allowed are default, and a folder of `train`")
    return Path(value)


@click.group()
def bench() -> None:
    """Measure what RouteBalance costs and how it behaves, with seeds and machine."""


@bench.command("all-on", short_help="Compare a decision with everything on and off.")
@click.option(
    "--deployments",
    "sizes",
    type=int,
    multiple=True,
    default=(13, 128),
    show_default=True,
    help="Pick among so many deployments. May be given several times.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=30,
    show_default=True,
    help="Let everything off and on take turns so often.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draw by this seed.")
@json_option
@quiet_option
def all_on(sizes: tuple[int, ...], rounds: int, seed: int, as_json: bool, quiet: bool) -> None:
    """Compare the CPU time of a decision with everything on to that with everything off."""
    from rb_litellm.bench.decisions.all_on import run

    told = progress(quiet)
    result = run(sizes, rounds, seed, lambda size: told(f"{size} deployments measured"))
    show({**result, "machine": machine()}, as_json)


@bench.command(short_help="Compare latency forecasts with what is measured.")
@click.option(
    "--rate",
    "rates",
    type=FiniteRange(0.1),
    multiple=True,
    default=(12, 30),
    show_default=True,
    help="Let so many requests arrive per second. May be given several times.",
)
@click.option(
    "--requests",
    type=click.IntRange(500),
    default=6000,
    show_default=True,
    help="Send so many requests in each run.",
)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    default=(0, 1, 2),
    show_default=True,
    help="Draw by this seed. May be given several times.",
)
@click.option("--head", is_flag=True, help="Compare with an XGBoost head, trained on the first seed.")
@json_option
@quiet_option
def latency(
    rates: tuple[float, ...], requests: int, seeds: tuple[int, ...], head: bool, as_json: bool, quiet: bool
) -> None:
    """Compare latency forecasts with what is measured, on the simulated cluster under changing load."""
    from rb_litellm.bench import latency as online
    from rb_litellm.bench import latency_head as boosted

    if head and len(seeds) < 2:
        raise click.UsageError(
            "--head is trained on the first seed and held against others: give --seed twice"
        )

    result = {
        **(boosted if head else online).run(rates, seeds, requests, progress(quiet)),
        "machine": machine(),
    }
    show(result, as_json)


@bench.command(short_help="Time features and prediction.")
@click.option(
    "--predictor",
    "asked",
    metavar="default|DIR",
    callback=_shipped_or_folder,
    help="Use the one that ships (default), or a folder of `train`; else a placeholder of the usual size.",
)
@click.option(
    "--repeats",
    type=click.IntRange(10, 100_000),
    default=300,
    show_default=True,
    help="Repeat each so many times.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draw by this seed.")
@click.option("--compiled", is_flag=True, help="Time compiled loops, too; needs the extra `fast`.")
@json_option
def predictor(
    asked: Path | Literal["default"] | None, repeats: int, seed: int, compiled: bool, as_json: bool
) -> None:
    """Time features and prediction: for one prompt, for each of a batch, for a very long one."""
    from rb_litellm.bench.predictor import run
    from rb_litellm.predictors.trained.model import PredictorError

    try:
        result = run(asked, repeats, seed, compiled)
    except ImportError:
        raise click.ClickException(
            "--compiled: needs numba, which the extra `fast` brings: pip install 'rb_litellm[fast]'"
        ) from None
    except PredictorError as error:
        raise click.ClickException(str(error)) from error
    show({**result, "machine": machine()}, as_json)


@bench.command(short_help="Tell what a sentence model would add.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Read graded answers as `train` does. May be given several times.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draw by this seed.")
@json_option
@quiet_option
def semantic(data: tuple[Path, ...], seed: int, as_json: bool, quiet: bool) -> None:
    """Tell what a sentence model would add to the features, and cost; needs the extra `semantic`."""
    from rb_litellm.bench.semantic import Missing, run
    from rb_litellm.train.data.dataset import DataError, read_dataset

    try:
        result = run(read_dataset(data), seed, progress(quiet))
    except (DataError, Missing) as error:
        raise click.ClickException(str(error)) from error
    show({**result, "machine": machine()}, as_json)


for command in (decision, rate, proxy, overhead, faults, floods, fleet, workers, state):
    bench.add_command(command)
