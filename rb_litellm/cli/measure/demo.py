"""`routebalance demo`: a real LiteLLM proxy before thirteen simulated servers, three strategies compared."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import click
from rich.console import Console

from rb_litellm.cli.figures import packages_of
from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import json_option, quiet_option
from rb_litellm.cli.screen import Screen, progress_bar
from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.core.decision.scoring import STANDARD


def _weights(context: click.Context, parameter: click.Parameter, given: str) -> str:
    try:
        parse_settings({"weights": given}, "--weights")
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error
    return given


@click.command()
@click.option(
    "--requests",
    type=click.IntRange(1, 100_000),
    default=240,
    show_default=True,
    help="Send so many requests under each strategy.",
)
@click.option(
    "--rate",
    type=FiniteRange(0.1, 1000),
    default=16.0,
    show_default=True,
    help="Send so many requests per second.",
)
@click.option(
    "--time-scale",
    type=FiniteRange(0.1, 100),
    default=1.0,
    show_default=True,
    help="Run servers and load this many times faster; times are still shown in the servers' time, "
    "so the proxy's own time counts that many times.",
)
@click.option(
    "--prompts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Send the prompts of this file of JSON lines with `prompt`.",
)
@click.option(
    "--weights",
    metavar="PRESET|Q,L,C",
    callback=_weights,
    default=STANDARD,
    show_default=True,
    help="Give RouteBalance these weights: a preset, or three numbers that sum to 1.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Let the proxy listen on this port; by default it takes a free one.",
)
@click.option("--keep", is_flag=True, help="Stay up afterwards, to try by hand. Ctrl-C ends it.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Draw arrivals, prompts, ties and right answers by this seed.",
)
@json_option
@quiet_option
def demo(
    requests: int,
    rate: float,
    time_scale: float,
    prompts: Path | None,
    weights: str,
    port: int | None,
    keep: bool,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send one load through a real proxy: RouteBalance beside two of LiteLLM's strategies.

    Thirteen simulated servers of four sizes for each of them answer 207 prompts of mixed difficulty,
    right or wrong.
    """
    with packages_of("demo"):
        from rb_litellm.demo.processes import ChildFailed, end_on_sigterm
        from rb_litellm.demo.prompts import BUILT_IN, read_prompts
        from rb_litellm.demo.run import DemoOptions, Watcher
        from rb_litellm.demo.run import demo as run_demo
        from rb_litellm.demo.stage import ENTRANTS, redis_command

        redis_command(0)  # Report what is missing now, and not when half of it runs.

    end_on_sigterm()
    notes = Console(stderr=True, quiet=quiet)
    try:
        texts = read_prompts(prompts or BUILT_IN)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--prompts") from error
    options = DemoOptions(texts, requests, rate, time_scale, seed, weights, port)
    progress = progress_bar(quiet)
    try:
        with progress:
            task = progress.add_task("starting", total=requests * len(ENTRANTS))
            watcher = Watcher(
                says=lambda text: progress.update(task, description=text),
                answered=lambda _: progress.advance(task),
            )
            with run_demo(options, watcher) as (result, ready):
                progress.stop()
                if as_json:
                    click.echo(json.dumps(result.as_json()))
                else:
                    result.show(Screen())
                if keep:
                    # Said with --quiet too: without the key nobody could use what stays up.
                    click.echo(_invitation(ready.url, ready.key), err=True)
                    signal.pause()
    except ChildFailed as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        notes.print("ended")


def _invitation(url: str, key: str) -> str:
    body = '{"model": "auto", "messages": [{"role": "user", "content": "What is a haiku?"}]}'
    return (
        "\nStill up until Ctrl-C. Models: auto, auto-quality, auto-cost, auto-simple-shuffle, "
        "auto-least-busy.\n\n"
        f"status page  {url}/routebalance/  (its key: {key})\n"
        f"terminal     LITELLM_MASTER_KEY={key} routebalance top --url {url}\n"
        f"why          routebalance explain --url {url} --key {key} --model auto "
        "--prompt 'What is a haiku?'\n\n"
        f"curl -si {url}/v1/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'\n"
    )
