"""`routebalance doctor`: check a configuration, what it depends on, and a running proxy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from rb_litellm.cli.output_options import json_option
from rb_litellm.cli.proxy_options import DEFAULT_URL, KEY_VARIABLE, can_be_sent, key_option, url_option
from rb_litellm.cli.screen import Screen, counted

if TYPE_CHECKING:
    from rb_litellm.doctor.finding import Finding

_SIGNS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "error": ("ERROR", "bold red")}


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this LiteLLM configuration file.",
)
@url_option()
@key_option(
    envvar=KEY_VARIABLE,
    show_envvar=True,
    help="Ask with this key of a proxy admin; without it the configured master_key is used.",
)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@json_option
@click.option("--quiet", is_flag=True, help="Print warnings and errors only.")
def doctor(
    file: Path | None, url: str | None, key: str | None, strict: bool, as_json: bool, quiet: bool
) -> None:
    """Check a configuration and a running proxy; each finding comes with its remedy.

    Without --config and --url, the proxy at http://localhost:4000 is checked. Exit status: 0 if all is
    well or only warned of, 1 on an error (with --strict, on a warning too), 2 on wrong usage.
    """
    if file is None and url is None:
        url = DEFAULT_URL
    # Prices by the installed map: a download would make the answer depend on the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    findings = [f for f in _examine(file, url, key) if not (quiet and f.level == "ok")]
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        _show(findings)
    bad = [f for f in findings if f.level in (("error", "warn") if strict else ("error",))]
    if bad:
        others = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        click.echo(f"Error: {bad[0].check}: {bad[0].message}{others}", err=True)
        raise SystemExit(1)


def _examine(file: Path | None, url: str | None, key: str | None) -> Iterator[Finding]:
    from rb_litellm.doctor import engines, file_checks, hub, policies, repeated_keys, running, surroundings
    from rb_litellm.doctor.configuration import Configuration
    from rb_litellm.doctor.finding import error
    from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigUnreadable, merged, read_files

    config: Configuration | None = None
    yield from surroundings.check_litellm()
    if file is not None:
        try:
            files = read_files(file)
            config = Configuration(file, merged(files))
        except ConfigUnreadable as unreadable:
            yield error("file", str(unreadable), "correct it; LiteLLM cannot read it either")
        else:
            yield from repeated_keys.check(files)
            yield from file_checks.check(config)
            yield from policies.check(config)
            yield from engines.check(config)
            yield from hub.check(config)
            yield from surroundings.check_redis(config)
            key = key or _master_key(config)
    if url is not None:
        yield from running.check(url, key, config)


def _master_key(config: object) -> str | None:
    general = getattr(config, "content", {}).get("general_settings") or {}
    key = general.get("master_key") if isinstance(general, dict) else None
    known = isinstance(key, str) and not key.startswith("os.environ/") and can_be_sent(key)
    return key if known else None


def _show(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        sign, style = _SIGNS[finding.level]
        table.add_row(Text(sign, style), Text(finding.check, "bold"), Text(finding.message))
        if finding.remedy:
            table.add_row("", "", Text(f"-> {finding.remedy}", "dim"))
    screen = Screen()
    screen.print(table)
    counts = {level: sum(f.level == level for f in findings) for level in _SIGNS}
    told = f"{counts['ok']} ok, {counted(counts['warn'], 'warning')}, {counted(counts['error'], 'error')}"
    screen.print(told, highlight=False)
