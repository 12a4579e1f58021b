"""`routebalance top`: the status page's figures in a terminal, live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rb_litellm.cli.proxy_options import proxy_options
from rb_litellm.cli.screen import Screen
from rb_litellm.core.decision.scoring import STANDARD
from rb_litellm.telemetry.trouble import urgency

_EVERY_S = 1.0
_BAR = 24
_DECISIONS = 10
_ALL = 10_000
_TROUBLED = 8
"""Deployments in trouble, and groups, that are listed."""


class Unseen(Exception):
    """There is nothing to draw; says why, and what to do."""


class Source(Protocol):
    """Where the figures come from."""

    def show(self, height: int) -> RenderableType:
        """Ask once and draw.

        Raises:
            Unseen: who is asked does not answer, or not to us.
        """
        ...


@click.command()
@proxy_options("Ask with this key of a proxy admin.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ask the Redis that this configuration names, and no proxy.",
)
@click.option("--redis", help="Ask this Redis (redis://, rediss:// or unix:// URL), and no proxy.")
@click.option("--namespace", help="Show this fleet of that Redis, in place of the configured one.")
@click.option("--once", is_flag=True, help="Show it once and end, as in a pipe; fail if it cannot be shown.")
@click.option("--quiet", is_flag=True, help="Print no hint on standard error.")
def top(
    url: str,
    key: str | None,
    config: Path | None,
    redis: str | None,
    namespace: str | None,
    once: bool,
    quiet: bool,
) -> None:
    """Show the cluster, its load and the last decisions until interrupted; in a pipe, once.

    The proxy tells all that its status page tells. With --redis or --config only the fleet's load is
    shown, and no proxy needs to answer.
    """
    source: Source
    if redis is not None or config is not None:
        source = _redis_source(config, redis, namespace)
    else:
        source = ProxySource(url, key)
    console = Console()
    if once or not console.is_terminal:
        try:
            Screen().print(source.show(height=_ALL))
        except Unseen as failure:
            raise click.ClickException(str(failure)) from failure
        return
    if not quiet:
        click.echo("Ctrl-C ends it", err=True)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = source.show(console.height)
                except Unseen as failure:  # shown, and asked again
                    shown = Text(str(failure), "red")
                live.update(shown, refresh=True)
                time.sleep(_EVERY_S)
        except KeyboardInterrupt:
            return


@dataclass(frozen=True)
class ProxySource:
    """`/routebalance/status` of a proxy."""

    url: str
    key: str | None

    def show(self, height: int) -> RenderableType:
        """See `Source`."""
        import httpx

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            answer = httpx.get(f"{self.url}/routebalance/status", headers=headers, timeout=5.0)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unseen(f"{self.url} does not answer: {type(error).__name__}: {error}") from error
        if answer.status_code == 404:
            raise Unseen(f"{self.url} has not loaded RouteBalance (routebalance doctor says more)")
        if answer.status_code != 200:
            what = "does not admit this key" if self.key else "wants a key"
            hint = "give a proxy admin's key: --key or LITELLM_MASTER_KEY"
            raise Unseen(f"{self.url} {what} ({answer.status_code}); {hint}")
        return Group(*draw(answer.json(), height))


def _redis_source(config: Path | None, url: str | None, namespace: str | None) -> Source:
    from rb_litellm.cli.operate.state import redis_settings, tables
    from rb_litellm.state.exchange.overview import Overview, overview
    from rb_litellm.state.exchange.redis.settings import RedisSettings
    from rb_litellm.state.exchange.redis.store import RedisStore

    @dataclass(frozen=True)
    class RedisSource:
        settings: RedisSettings

        def show(self, height: int) -> RenderableType:
            try:
                return tables(asyncio.run(self._look()))
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
                raise Unseen(f"{self.settings.shown} cannot be read: {told}") from error

        async def _look(self) -> Overview:
            store = RedisStore(self.settings)
            try:
                return overview(await store.read())
            finally:
                await store.close()

    return RedisSource(redis_settings(config, url, namespace))


def draw(status: Mapping[str, Any], height: int) -> Iterator[RenderableType]:
    """The figures of a status document, in at most about `height` lines."""
    yield _headline(status)
    yield from _notices(status)
    trouble = list(_trouble(status))
    yield from trouble
    yield from _live(status)
    rows = max(height - _DECISIONS - 13 - len(trouble) - len(status["strategies"]), 8)
    for part in (_cluster(status, rows), _traffic(status["recent"])):
        yield Text()
        yield part
    yield Text()
    yield _decisions(status["latest"][:_DECISIONS])


def _headline(status: Mapping[str, Any]) -> Text:
    exchange = status["exchange"] or {"mode": "starting", "peers": 0, "age_s": None}
    in_flight = status["in_flight"]
    took = status["recent"]["decision_ms"]
    parts = [
        f"{status['version']} on litellm {status['litellm']}",
        f"worker {status['worker']} of {exchange['peers'] + 1}",
        f"{in_flight:.0f} in flight",
        f"{status['decisions_total']} decisions" + (f" at {took['p50']:.2f} ms" if took else ""),
        {"redis": "Redis shared", "memory": "by itself", "degraded": "Redis unreachable"}.get(
            exchange["mode"], "starting"
        ),
        "predictor " + (", ".join(status["predictors"]) or "none: priors"),
    ]
    style = "red" if exchange["mode"] == "degraded" else ""
    return Text.assemble(("RouteBalance  ", "bold"), (" | ".join(parts), style))


def _notices(status: Mapping[str, Any]) -> Iterator[Text]:
    if not status["strategies"]:
        yield Text("No router or routing group of this proxy uses routebalance.", "yellow")
    if failures := sum(status["failures"].values()):
        yield Text(f"{failures} internal errors: {', '.join(status['failures'])}", "yellow")


def _trouble(status: Mapping[str, Any]) -> Iterator[Text]:
    """Deployments that fail, are kept out or are slow, before all else."""
    found = sorted(
        (d for tier in status["tiers"] for d in tier["deployments"] if d.get("trouble")), key=urgency
    )
    for d in found[:_TROUBLED]:
        yield Text.assemble((d.get("name", d["id"]), "bold red"), (f": {'; '.join(d['trouble'])}", "red"))
    if len(found) > _TROUBLED:
        yield Text(f"{len(found) - _TROUBLED} more are in trouble", "red")


def _live(status: Mapping[str, Any]) -> Iterator[Text]:
    """Groups, weights and mode that are in force."""
    for strategy in status["strategies"][:_TROUBLED]:
        arguments = strategy["arguments"]
        weights = arguments.get("weights", STANDARD)
        told = weights if isinstance(weights, str) else ", ".join(f"{n} {w:g}" for n, w in weights.items())
        mode = arguments.get("mode", "active")
        shadow = "" if mode == "active" else f", {mode} mode"
        models = f" ({', '.join(strategy['models'])})" if strategy["models"] else ""
        yield Text(f"{strategy['group'] or 'all other models'}{models}: weights {told}{shadow}", "dim")


def _cluster(status: Mapping[str, Any], rows: int) -> Table:
    table = Table("deployment", "in flight", box=None, pad_edge=False, header_style="dim")
    for heading in ("pending tokens", "wait", "TTFT", "per token", "share"):
        table.add_column(heading, justify="right")
    found = [d for tier in status["tiers"] for d in tier["deployments"]]
    most = max((d["in_flight"] for d in found), default=0.0) or 1.0
    # Too many for the window: the busiest.
    if left_out := max(len(found) - rows, 0):
        busiest = sorted(found, key=lambda d: -d["in_flight"])[:rows]
        found = [d for d in found if d in busiest]
    for d in found:
        slots = d.get("slots")
        bar = "█" * min(round(_BAR * d["in_flight"] / (slots or most)), _BAR)
        of = f"/{slots:.0f}" if slots else ""
        table.add_row(
            Text(d.get("name", d["id"]), "red" if d.get("trouble") else ""),
            Text.assemble(f"{d['in_flight']:4.0f}{of} ", (bar, "blue")),
            str(d["pending_prefill_tokens"] + d["pending_decode_tokens"]),
            seconds(d["wait_s"]),
            seconds(d["ttft_s"]),
            seconds(d["tpot_s"]),
            f"{d['share']:.0%}",
        )
    if left_out + status["left_out"]:
        table.caption = f"{left_out + status['left_out']} more with less in flight"
        table.caption_justify = "left"
    return table


def _traffic(recent: Mapping[str, Any]) -> Table:
    title = f"last {recent['decisions']} decisions of this worker"
    table = Table(title, box=None, pad_edge=False, header_style="dim")
    for heading in ("quality", "E2E", "USD per 1,000 requests"):
        table.add_column(heading, justify="right")
    baseline = recent["baseline"]
    lines = [("chosen, predicted", recent["chosen"]), ("a random candidate", recent["random"])]
    if baseline is not None:
        lines.append((f"baseline {baseline['model']}", baseline if "quality" in baseline else None))
    for name, f in lines:
        figures = ("-", "-", "-") if f is None else _figures(f)
        table.add_row(Text(name), *figures)
    return table


def _figures(f: Mapping[str, float]) -> tuple[str, str, str]:
    return f"{f['quality']:.3f}", seconds(f["e2e_s"]), f"{f['cost_usd_per_1k']:.4g}"


def _decisions(latest: list[Mapping[str, Any]]) -> Table:
    table = Table("time", "asked for", "sent to", box=None, pad_edge=False, header_style="dim")
    for heading in ("score", "quality", "E2E", "measured"):
        table.add_column(heading, justify="right")
    for r in latest:
        predicted, measured = r.get("predicted", {}), r.get("measured")
        outcome = (
            "open" if measured is None else "failed" if "error" in measured else seconds(measured["open_s"])
        )
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(r["at_s"])),
            Text(r.get("requested", "")),
            Text(r["deployment"] + ("" if r["reason"] == "joint" else f" ({r['reason']})")),
            f"{r['score']:.3f}" if "score" in r else "-",
            f"{predicted['quality']:.3f}" if predicted else "-",
            seconds(predicted.get("e2e_s")),
            Text(outcome, "red" if outcome == "failed" else ""),
        )
    return table


def seconds(value: float | None) -> str:
    """A time as people read it: milliseconds below one second."""
    if value is None:
        return "-"
    if value < 0.9995:
        return "0" if value == 0.0 else f"{value * 1000:.{1 if value < 0.0095 else 0}f} ms"
    return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
