"""`routebalance calibrate`: measure an inference server, and write down what routing can start from."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import yaml
from rich.table import Table

from rb_litellm.cli.finite_range import FiniteRange
from rb_litellm.cli.output_options import NewFile, json_option, quiet_option
from rb_litellm.cli.proxy_options import key_option
from rb_litellm.cli.screen import Screen
from rb_litellm.new_file import new_file

if TYPE_CHECKING:
    from rb_litellm.calibration.document import Document
    from rb_litellm.calibration.plan import Plan

_GOOD_FIT = 0.15
_QUIET = 0.5
_IDLE_S = 2.0


@click.command(context_settings={"show_default": True})
@click.option(
    "--url",
    required=True,
    help="Measure the server at this address, which is its api_base: http://gpu-3:8000/v1.",
)
@click.option("--model", help="Ask for this model of the server.  [default: its only one]")
@key_option(envvar="ENGINE_API_KEY", show_envvar=True, help="Ask with this key, which is the server's own.")
@click.option(
    "--out",
    type=NewFile(),
    help="Write the settings to this file, which must not exist yet.",
)
@click.option("--seconds", type=FiniteRange(1, 3600), default=120.0, help="Take at most so many seconds.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--yes", is_flag=True, help="Send without asking first.")
@click.option(
    "--seed", type=int, default=None, help="Draw the prompts by this seed.  [default: new ones each time]"
)
@json_option
@quiet_option
def calibrate(
    url: str,
    model: str | None,
    key: str | None,
    out: Path | None,
    seconds: float,
    dry_run: bool,
    yes: bool,
    seed: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure a server of yours: TTFT, time per token, slots, prefix cache, context window.

    It sends made-up prompts, streamed, in a bounded number, and asks before it does. Measure a server that
    has nothing else to do. Exit status: 1 if it cannot be measured, 2 on wrong usage.
    """
    from rb_litellm.calibration.engine import CannotCalibrate
    from rb_litellm.calibration.plan import Plan
    from rb_litellm.redaction import shown_address

    if urlsplit(url).scheme not in ("http", "https"):
        raise click.BadParameter(
            f"{shown_address(url)!r} is no address; allowed is one such as http://gpu-3:8000/v1",
            param_hint="--url",
        )
    plan = Plan()
    click.echo(_told(plan, shown_address(url), seconds), err=True)
    if dry_run:
        if as_json:
            click.echo(json.dumps({"dry_run": True, **_bounds(plan, seconds)}))
        return
    if not yes:
        click.confirm("Send them?", abort=True, err=True)
    try:
        found = asyncio.run(_measure(url, model, key, plan, seconds, Random(seed), quiet))
    except CannotCalibrate as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(found.model_dump_json())
    else:
        _show(found)
    # What took minutes to measure has been told where the file finds no room.
    if out is not None:
        with new_file(out) as file:
            file.write(found.as_yaml())


async def _measure(
    url: str, model: str | None, key: str | None, plan: Plan, seconds: float, random: Random, quiet: bool
) -> Document:
    import httpx

    from rb_litellm.calibration.document import document
    from rb_litellm.calibration.engine import Engine
    from rb_litellm.calibration.fit import fitted
    from rb_litellm.calibration.measure import Calibrating

    # No proxy between: its time would be measured as the server's. No limit of connections would be a queue.
    # Engines close idle connections after 5 s (llama-server, vLLM): ours are given up before that, or a
    # request may be sent on one that is just being closed.
    limits = httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_S)
    async with httpx.AsyncClient(timeout=seconds, trust_env=False, limits=limits) as client:
        engine = Engine(client, url, key, time.perf_counter)

        def tell(what: str) -> None:
            if not quiet:
                click.echo(what, err=True)

        measured = await Calibrating(engine, plan, time.perf_counter, seconds, random, tell).run(model)
    return document(url, engine.model, fitted(measured))


def _bounds(plan: Plan, seconds: float) -> dict[str, float]:
    return {
        "requests": plan.requests,
        "prompt_tokens": plan.prompt_tokens,
        "answer_tokens": plan.answer_tokens,
        "seconds": seconds,
    }


def _told(plan: Plan, shown: str, seconds: float) -> str:
    return (
        f"To {shown}: at most {plan.requests} requests, {plan.prompt_tokens:,} prompt tokens, "
        f"{plan.answer_tokens:,} answer tokens, {max(plan.batches)} at once, {seconds:g} s. "
        "Other traffic on the server meanwhile spoils the figures, and these requests slow it down."
    )


def _show(found: Document) -> None:
    screen = Screen()
    form = found.ttft_ms
    prompts = Table("prompt tokens", "TTFT (ms)", "by the form", box=None, title="Time to first token")
    for tokens, ms in found.ttft_measured_ms.items():
        prompts.add_row(
            str(tokens), f"{ms:.4g}", f"{form.base + form.per_1k_prompt_tokens * tokens / 1000.0:.4g}"
        )
    growth = found.tpot_form_ms
    batches = Table("at once", "TPOT (ms)", "by the form", box=None, title="Time per output token")
    for batch, ms in found.tpot_ms.items():
        batches.add_row(str(batch), f"{ms:.4g}", f"{growth.alone + growth.per_running * (batch - 1):.4g}")
    screen.print(prompts)
    screen.print(batches)
    slots = found.slots or f"no fewer than the {found.most_asked} that were tried"
    screen.print(f"slots: {slots}; context window: {found.context_window or 'not told'}", highlight=False)
    screen.print(f"prefix cache: {'yes' if found.prefix_cache else 'no'}", highlight=False)
    for name, error, known, one in (
        ("TTFT", found.fit_error.ttft, found.knows_prefill, "prompt length"),
        ("TPOT", found.fit_error.tpot, found.knows_growth, "size of batch"),
    ):
        if not known:
            screen.print(f"{name}: only one {one} was measured; how it grows is left to be learned")
            continue
        told = "fits" if error <= _GOOD_FIT else "fits poorly: state less, and let it be learned"
        screen.print(f"{name}: the form {told} (mean error {error:.1%})", highlight=False)
    if found.spread > _QUIET:
        screen.print(
            f"The same TTFT was measured up to {found.spread:.0%} apart: the server, or this machine, had "
            "something else to do. Measure again when it is quiet.",
            highlight=False,
        )
    screen.print("")
    click.echo(yaml.safe_dump({"model_info": found.model_info()}, sort_keys=False), nl=False)
