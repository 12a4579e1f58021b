"""`routebalance explain`: where a request would go now, by what, and what would change it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Group
from rich.table import Table
from rich.text import Text

from rb_litellm.cli.proxy_options import proxy_options
from rb_litellm.cli.screen import Screen


@click.command(context_settings={"show_default": True})
@proxy_options("A LiteLLM key that may ask.", required=True)
@click.option("--model", help="Model or routing group; with --prompt.")
@click.option("--prompt", help="One message; for anything else give --file.")
@click.option(
    "--file",
    "body_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="The request's body as JSON; - for standard input.",
)
@click.option(
    "--control", "controls", multiple=True, metavar="NAME=VALUE", help="weights=quality; repeatable."
)
@click.option("--top", type=click.IntRange(1, 1000), default=20, help="Candidates to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@click.option("--quiet", is_flag=True, help="Only the table of candidates.")
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
    Screen().print(_candidates(answer, top) if quiet else _page(answer, top))


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


def _page(answer: Mapping[str, Any], top: int) -> Group:
    weights = ", ".join(f"{name} {weight:g}" for name, weight in answer["weights"].items())
    set_by = ", ".join(f"{name} by the {level}" for name, level in answer["set_by"].items())
    lines = [
        Text(f"{answer['model']}: {answer['objective']} with {weights}" + (f" ({set_by})" if set_by else ""))
    ]
    if refused := answer.get("refused"):
        lines.append(Text(f"Refused: {refused['message']}", style="bold red"))
    if answer["relaxed"]:
        lines.append(Text(f"Nobody keeps {', '.join(answer['relaxed'])}: loosened", style="yellow"))
    if answer["ignored"]:
        lines.append(Text("Ignored: " + "; ".join(answer["ignored"]), style="yellow"))
    if budget := answer.get("budget"):
        limit = "" if budget["max_tokens"] is None else f", max_tokens lowered to {budget['max_tokens']}"
        lines.append(Text(f"Budget: {budget['max_cost_usd']:g} USD{limit}"))
    return Group(*lines, _candidates(answer, top), *_flips(answer))


def _candidates(answer: Mapping[str, Any], top: int) -> Table:
    table = Table("deployment", "model", title="Candidates", title_justify="left", box=None, pad_edge=False)
    for heading in ("score", *(f"= {name}" for name in answer["weights"]), "quality", "tokens"):
        table.add_column(heading, justify="right")
    for heading in ("wait s", "TTFT s", "E2E s", "USD", "fails"):
        table.add_column(heading, justify="right")
    for candidate in answer["candidates"][:top]:
        fails = [
            f"{name} {result['level']:.3g}"
            for name, result in candidate["filters"].items()
            if not result["passed"]
        ]
        chosen = candidate["deployment"] == answer["chosen"]
        table.add_row(
            candidate.get("name", candidate["deployment"]),
            candidate["model"],
            "-" if candidate["score"] is None else f"{candidate['score']:.4g}",
            *(f"{candidate['terms'].get(name, 0.0):.3g}" for name in answer["weights"]),
            f"{candidate['quality']:.3f}",
            f"{candidate['output_tokens']:.0f}",
            f"{candidate['wait_s']:.2f}",
            f"{candidate['ttft_s']:.3f}",
            f"{candidate['e2e_s']:.2f}",
            "unknown" if candidate.get("price") == "unknown" else f"{candidate['cost_usd']:.3g}",
            ", ".join(fails),
            style="bold green" if chosen else "dim" if candidate["score"] is None else "",
        )
    return table


def _flips(answer: Mapping[str, Any]) -> list[Table]:
    if not answer["flips"]:
        return []
    table = Table("would go to", "model", title="Nearest weights that change it", title_justify="left")
    names = list(answer["flips"][0]["weights"])
    for name in names:
        table.add_column(name, justify="right")
    for flip in answer["flips"]:
        table.add_row(
            flip.get("name", flip["deployment"]),
            flip["model"],
            *(f"{flip['weights'][name]:g}" for name in names),
        )
    return [table]
