"""`routebalance shadow-report`: what would have changed had RouteBalance served and not only watched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import httpx
from rich.table import Table

from rb_litellm.cli.log_options import log_options, tell
from rb_litellm.cli.output_options import json_option
from rb_litellm.cli.proxy_options import key_option
from rb_litellm.cli.screen import Screen


@click.command(name="shadow-report", context_settings={"show_default": True})
@log_options(
    "sources",
    100_000,
    help="Read the decisions of all workers from LiteLLM's database or a file. May be given several times.",
)
@click.option(
    "--url", help="Ask this running proxy, in place of a log, for the recent decisions of one of its workers."
)
@click.option(
    "--judged",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the verdicts of judged shadow evaluation from the file that `shadow_evaluation.path` names.",
)
@key_option(envvar="LITELLM_MASTER_KEY", help="Ask with this LiteLLM key, with --url.")
@json_option
@click.option("--quiet", is_flag=True, help="Print the table alone.")
def shadow_report(
    sources: tuple[str, ...],
    url: str | None,
    judged: Path | None,
    key: str | None,
    max_rows: int,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare, over decisions of shadow mode, what was served with what would have been chosen."""
    if bool(sources) + bool(url) + bool(judged) != 1:
        raise click.UsageError("give one of --from-spend-logs, --url and --judged")
    if judged is not None:
        _report_judged(judged, as_json)
        return
    summary = _logged(sources, max_rows, strict, quiet or as_json) if sources else _asked(str(url), key)
    if as_json:
        click.echo(json.dumps(summary))
        return
    if not summary["decisions"]:
        raise click.ClickException("no decision of shadow mode was found; is `mode: shadow` set?")
    _show(summary, quiet)


def _logged(sources: Sequence[str], max_rows: int, strict: bool, quiet: bool) -> dict[str, Any]:
    from rb_litellm.logs.decisions import decision_of
    from rb_litellm.logs.spend_logs import SpendLogsError, read_spend_logs
    from rb_litellm.telemetry.comparing.shadow import summarise

    try:
        read = read_spend_logs(sources, max_rows, kinds=None, failed=True, strict=strict)
    except SpendLogsError as error:
        raise click.ClickException(str(error)) from error
    if not quiet:
        tell(read.report)
    return {**summarise(map(decision_of, read.calls)), "log": read.report.as_json()}


def _asked(url: str, key: str | None) -> dict[str, Any]:
    if not key:
        raise click.UsageError("--url needs --key, or LITELLM_MASTER_KEY in the environment")
    try:
        response = httpx.get(
            f"{url.rstrip('/')}/routebalance/shadow", headers={"Authorization": f"Bearer {key}"}, timeout=30.0
        )
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url} does not answer: {error}") from error
    if response.status_code != 200:
        raise click.ClickException(f"{url} answers {response.status_code}: {response.text[:300]}")
    answer: dict[str, Any] = response.json()
    return answer


def _report_judged(path: Path, as_json: bool) -> None:
    from rb_litellm.logs.sources.files import LogFileError
    from rb_litellm.logs.verdicts import read_verdicts
    from rb_litellm.telemetry.comparing.judged import summarise_verdicts

    try:
        report = summarise_verdicts(read_verdicts(path))
    except LogFileError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report))
        return
    if not report["candidates"]:
        raise click.ClickException(f"{path} holds no verdict yet")
    console = Screen()
    for one in report["candidates"]:
        table = Table(
            title=f"{one['candidate']}: what it would have chosen against what served", title_justify="left"
        )
        for name in ("prompts", "compared", "win", "tie", "loss", "same model", "net", "interval", "says"):
            table.add_column(name, justify="left" if name in ("prompts", "says") else "right")
        for kind, figures in (("all", one), *((part["kind"], part) for part in one["kinds"])):
            table.add_row(
                kind,
                *(str(figures[name]) for name in ("comparisons", "win", "tie", "loss", "same")),
                f"{figures['net']:+.3f}",
                f"{figures['interval'][0]:+.3f} to {figures['interval'][1]:+.3f}",
                _SAYS[figures["decided"]].format(figures.get("further", 0)),
            )
        console.print(table)
        change = "" if one["cost_change"] is None else f" ({one['cost_change']:+.1%})"
        console.print(
            f"USD per 1,000 requests: {one['would_usd_per_1k']:.4g} in place of "
            f"{one['served_usd_per_1k']:.4g}{change}; the judge took {one['judge_usd']:.4g} USD in all."
        )
    console.print(
        f"Net is (wins - losses) / compared. Intervals hold with {report['confidence']:.0%} "
        "however often one looks."
    )


_SAYS = {
    "better": "better",
    "worse": "worse",
    "equal": "no difference worth having",
    "open": "not yet; about {} more",
}


def _show(summary: dict[str, Any], quiet: bool) -> None:
    console = Screen()
    table = Table("predicted, mean per request", "as served", "as RouteBalance", "change")
    for name, label, figure in (
        ("quality", "quality", "{:.4f}"),
        ("e2e_s", "E2E, s", "{:.3f}"),
        ("ttft_s", "TTFT, s", "{:.3f}"),
        ("cost_usd", "cost, USD", "{:.7f}"),
    ):
        change = summary["change"].get(name)
        told = "" if change is None else (f"{change:+.4f}" if name == "quality" else f"{change:+.1%}")
        before, after = summary["as_served"][name], summary["as_routebalance"][name]
        table.add_row(label, figure.format(before), figure.format(after), told)
    console.print(table)
    if quiet:
        return
    console.print(
        f"{summary['decisions']} decisions, {summary['moved_share']:.0%} would have gone elsewhere."
    )
    if summary["measured_e2e_s"] is not None:
        console.print(
            f"E2E of what served: predicted {summary['predicted_e2e_s']:.3f} s, "
            f"measured {summary['measured_e2e_s']:.3f} s."
        )
    moves = Table("served by", "would have been", "requests")
    for move in summary["moves"]:
        moves.add_row(move["from"], move["to"], str(move["requests"]))
    console.print(moves)
