"""Checks of the servers whose load a running proxy reads: whether it can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rb_litellm.doctor.finding import Finding, ok, warn

_SHOWN = 10


def check(name: str, status: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings on what worker `name` reads of servers, by its status; none where it reads nothing."""
    servers = status.get("servers") or ()
    failing = [server for server in servers if server["failures"]]
    for server in failing[:_SHOWN]:
        yield warn(
            "servers",
            f"{name} cannot read the load of {server['url']} ({server['failures']} times in a row): "
            f"{server['error']}",
            "start the server, or llama-server with --metrics; or set model_info.routebalance.scrape_url",
        )
    if len(failing) > _SHOWN:
        yield warn("servers", f"{len(failing) - _SHOWN} more cannot be read", "see the status page")
    if servers and not failing:
        yield ok("servers", f"{name} reads the load of {len(servers)} servers")
