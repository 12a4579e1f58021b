"""`routebalance explain`: where a request would go now, by what, and what would change it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import httpx

from rb_litellm.cli.plain_table import show_table
from rb_litellm.cli.proxy_options import proxy_options


@click.command(context_settings={"show_default": True})
@proxy_options("Ask with this LiteLLM key.", required=True)
@click.option("--model", help="Ask for this model or routing group, with --prompt.")
@click.option("--prompt", help="Ask with this one message; for anything else give --file.")
@click.option(
    "--file",
    "body_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Read the request's body, JSON, from this file; - is standard input.",
)
@click.option(
    "--control",
    "controls",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a control, such as weights=quality. May be given several times.",
)
@click.option("--top", type=click.IntRange(1, 1000), default=20, help="Show at most so many candidates.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@click.option("--quiet", is_flag=True, help="Print the tables of candidates alone.")
def explain(
    url: str,
    key: str,
    model: str | None,
    prompt: str | None,
    body_file: Path | None,
    controls: tuple[str, ...],
    top: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Ask a running proxy where it would send a request now. Nothing is sent."""
    body = _body(model, prompt, body_file)
    headers = {"Authorization": f"Bearer {key}", **_headers(controls)}
    try:
        response = httpx.post(f"{url}/routebalance/explain", json=body, headers=headers, timeout=30.0)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise click.ClickException(f"{url} does not answer: {error}") from error
    if response.status_code != 200:
        raise click.ClickException(f"{response.status_code}: {_reason(response)}")
    answer = response.json()
    if as_json:
        click.echo(json.dumps(answer))
        return
    if not quiet:
        _show(answer)
    _candidates(answer, top)
    if not quiet:
        _flips(answer)


def _body(model: str | None, prompt: str | None, body_file: Path | None) -> Any:
    if body_file is not None:
        if model is not None or prompt is not None:
            raise click.UsageError("give either --file, or --model and --prompt")
        try:
            return json.loads(sys.stdin.read() if str(body_file) == "-" else body_file.read_text("utf-8"))
        except ValueError as error:
            raise click.BadParameter(f"{body_file} is no JSON: {error}", param_hint="--file") from error
    if model is None or prompt is None:
        raise click.UsageError("give --file, or --model and --prompt")
    return {"model": model, "messages": [{"role": "user", "content": prompt}]}


def _headers(controls: Sequence[str]) -> dict[str, str]:
    headers = {}
    for control in controls:
        name, equals, value = control.partition("=")
        if not equals:
            raise click.BadParameter(f"{control!r} is not NAME=VALUE", param_hint="--control")
        headers[f"x-routebalance-{name.strip().replace('_', '-')}"] = value.strip()
    return headers


def _reason(response: httpx.Response) -> str:
    try:
        told = response.json()
    except ValueError:
        return response.text[:500]
    for name in ("detail", "error", "message"):
        if isinstance(told, Mapping) and name in told:
            told = told[name]
    return str(told)


def _show(answer: Mapping[str, Any]) -> None:
    weights = ", ".join(f"{name} {weight:g}" for name, weight in answer["weights"].items())
    set_by = ", ".join(f"{name} by the {level}" for name, level in answer["set_by"].items())
    click.echo(
        f"{answer['model']}: {answer['objective']} with {weights}" + (f" ({set_by})" if set_by else "")
    )
    if refused := answer.get("refused"):
        click.secho(f"Refused: {refused['message']}", fg="red", bold=True)
    if answer["relaxed"]:
        click.secho(f"Nobody keeps {', '.join(answer['relaxed'])}: loosened", fg="yellow")
    if passed_over := answer.get("passed_over"):
        names = ", ".join(f"{one['name']} ({one['why']})" for one in passed_over)
        click.secho(f"Passed over: {names}", fg="yellow")
    if answer["ignored"]:
        click.secho("Ignored: " + "; ".join(answer["ignored"]), fg="yellow")
    if budget := answer.get("budget"):
        limit = "" if budget["max_tokens"] is None else f", max_tokens lowered to {budget['max_tokens']}"
        click.echo(f"Budget: {budget['max_cost_usd']:g} USD{limit}")
    click.echo()


def _candidates(answer: Mapping[str, Any], top: int) -> None:
    shown = answer["candidates"][:top]
    terms = list(answer["weights"])
    show_table(
        "The candidates' scores, and what each term adds to them",
        ["score", *terms],
        "  deployment (model); * is chosen",
        (
            (
                [
                    "-" if one["score"] is None else f"{one['score']:.4g}",
                    *(f"{one['terms'].get(name, 0.0):.3g}" for name in terms),
                ],
                _named(one, answer["chosen"]),
            )
            for one in shown
        ),
    )
    show_table(
        "What is expected of them",
        ["quality", "tokens", "wait s", "TTFT s", "E2E s", "USD"],
        "deployment",
        (
            (
                [
                    f"{one['quality']:.3f}",
                    f"{one['output_tokens']:.0f}",
                    f"{one['wait_s']:.2f}",
                    f"{one['ttft_s']:.3f}",
                    f"{one['e2e_s']:.2f}",
                    "unknown" if one.get("price") == "unknown" else f"{one['cost_usd']:.3g}",
                ],
                one.get("name", one["deployment"]),
            )
            for one in shown
        ),
    )


def _named(candidate: Mapping[str, Any], chosen: str | None) -> str:
    """A candidate by its name, with a mark where it is chosen, and below it why it is left out."""
    mark = "*" if candidate["deployment"] == chosen else " "
    name = f"{mark} {candidate.get('name', candidate['deployment'])} ({candidate['model']})"
    failed = [
        f"{limit} {result['level']:.3g}"
        for limit, result in candidate["filters"].items()
        if not result["passed"]
    ]
    return f"{name}\n    fails {', '.join(failed)}" if failed else name


def _flips(answer: Mapping[str, Any]) -> None:
    if not answer["flips"]:
        return
    names = list(answer["flips"][0]["weights"])
    show_table(
        "The nearest weights that change it",
        names,
        "would go to",
        (
            (
                [f"{flip['weights'][name]:g}" for name in names],
                f"{flip.get('name', flip['deployment'])} ({flip['model']})",
            )
            for flip in answer["flips"]
        ),
    )
