"""`routebalance state`: the workers alive and what they have open, as Redis knows it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from rb_litellm.cli.output_options import json_option
from rb_litellm.cli.screen import Screen
from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.state.exchange.overview import Overview, overview
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore

_EVERY_S = 1.0
"""Between two updates of --watch."""


@click.command(name="state")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this LiteLLM configuration file.",
)
@click.option(
    "--redis", "url", help="Ask this Redis (redis://, rediss:// or unix:// URL), not the configured one."
)
@click.option("--namespace", help="Show this fleet, in place of the configured one.")
@click.option("--watch", is_flag=True, help="Show it again every second until interrupted.")
@json_option
@click.option("--quiet", is_flag=True, help="Print no hints on standard error.")
def state(
    config: Path | None, url: str | None, namespace: str | None, watch: bool, as_json: bool, quiet: bool
) -> None:
    """Show the workers alive, their age, and the open attempts per deployment, from Redis.

    Without --config or --redis, the Redis is the one that LiteLLM's environment variables name
    (REDIS_URL, REDIS_HOST, ...).
    """
    if watch and as_json:
        raise click.UsageError("--watch redraws a table; it does not go with --json")
    settings = redis_settings(config, url, namespace)
    try:
        if watch:
            asyncio.run(_watch(settings))
            return
        seen = asyncio.run(_look(settings))
    except KeyboardInterrupt:
        return
    except Exception as error:
        raise click.ClickException(
            f"{settings.shown} cannot be read: {type(error).__name__}: {error}"
        ) from error
    if as_json:
        click.echo(json.dumps(asdict(seen)))
        return
    Screen().print(tables(seen))
    if not seen.workers and not quiet:
        click.echo(f"No worker is alive in namespace {settings.namespace!r} of {settings.shown}.", err=True)


def redis_settings(config: Path | None, url: str | None, namespace: str | None) -> RedisSettings:
    """The Redis that a command's options name.

    Raises:
        click.ClickException: none is named, or what is named cannot be understood.
    """
    router, arguments = _configured(config)
    redis_arguments = dict(arguments.get("redis") or {})
    if url is not None:
        redis_arguments["url"] = url
    if namespace is not None:
        redis_arguments["namespace"] = namespace
    try:
        parsed = parse_settings({"redis": redis_arguments}, "routing_strategy_args")
        settings = RedisSettings.resolve(parsed.redis, router, os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    if settings is None:
        raise click.ClickException(
            "no Redis is named: give --redis URL or --config FILE, or set REDIS_URL "
            "(a proxy without Redis keeps its state to itself)"
        )
    return settings


def _configured(path: Path | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """LiteLLM's Redis settings and our `routing_strategy_args` out of a config.yaml."""
    if path is None:
        return {}, {}
    from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigUnreadable, read_config

    try:
        config = read_config(path)
        router = dict(config.get("router_settings") or {})
        cache = dict((config.get("litellm_settings") or {}).get("cache_params") or {})
        groups = [router, *(router.get("routing_groups") or [])]
        ours = [group for group in groups if group.get("routing_strategy") == "routebalance"]
        arguments = dict((ours[0].get("routing_strategy_args") or {}) if ours else {})
    except ConfigUnreadable as error:
        raise click.ClickException(str(error)) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise click.ClickException(f"{path} is no configuration of LiteLLM: {error}") from error
    return {**cache, **router}, arguments


async def _look(settings: RedisSettings) -> Overview:
    store = RedisStore(settings)
    try:
        return overview(await store.read())
    finally:
        await store.close()


async def _watch(settings: RedisSettings) -> None:
    store = RedisStore(settings)
    try:
        with Live(console=Console(), screen=False, auto_refresh=False) as live:
            while True:
                live.update(await _frame(store, settings.shown), refresh=True)
                await asyncio.sleep(_EVERY_S)
    finally:
        await store.close()


async def _frame(store: RedisStore, shown: str) -> RenderableType:
    """The present tables; in `--watch` an outage is shown and does not end the command."""
    try:
        return tables(overview(await store.read()))
    except (OSError, RedisError, asyncio.TimeoutError) as error:
        await store.close()
        return f"{shown} cannot be read, trying again: {type(error).__name__}: {error}"


def tables(seen: Overview) -> Group:
    """Workers and deployments as two tables."""
    workers = Table("worker", title="Workers", title_justify="left")
    for heading in ("open", "age s", "up s"):
        workers.add_column(heading, justify="right")
    for worker in seen.workers:
        workers.add_row(worker.name, str(worker.in_flight), f"{worker.age_s:.1f}", f"{worker.up_s:.0f}")
    for name in seen.unreadable:
        workers.add_row(name, "unreadable: another version?", "", "")
    deployments = Table("deployment", title="Deployments with open requests", title_justify="left")
    for heading in ("open", "prefill tokens", "decode tokens", "workers"):
        deployments.add_column(heading, justify="right")
    for d in seen.deployments:
        figures = (d.in_flight, d.pending_prefill_tokens, d.pending_decode_tokens, d.workers)
        deployments.add_row(d.name, *map(str, figures))
    return Group(workers, deployments)
