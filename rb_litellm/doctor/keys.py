"""What keys and teams of a running proxy bring along that narrows or outweighs the joint decision."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from rb_litellm.doctor.finding import Finding, warn

MAX_READ = 100
"""Keys, and teams, that are looked at."""
_NAMED = 5
_TIMEOUT_S = 10.0


def check(url: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    """Findings on the keys and teams of the proxy at `url`; none where it has no database."""
    keys = _listed(url, headers, f"/key/list?return_full_object=true&size={MAX_READ}")
    teams = _listed(url, headers, "/team/list")
    for kind, rows, name in (("key", keys, "key_alias"), ("team", teams, "team_alias")):
        shared = [_name(row, name) for row in rows if _mapping(row.get("router_settings")).get("weights")]
        if shared:
            yield warn(
                "policies",
                f"{_counted(kind, shared)} with router_settings.weights: of the models named there, their "
                "requests go to deployments by these weights, and to no others",
                "take the weights out where quality, latency and cost shall decide",
            )
        own = [_name(row, name) for row in rows if _mapping(row.get("metadata")).get("routebalance")]
        if own:
            yield warn(
                "policies",
                f"{_counted(kind, own)} with settings of their own (metadata.routebalance), which outrank "
                "the configuration's",
                "nothing, if that is meant; `overrides` in routing_strategy_args says what they may set",
            )


def _listed(url: str, headers: Mapping[str, str], path: str) -> list[Mapping[str, Any]]:
    try:
        answer = httpx.get(f"{url}{path}", headers=dict(headers), timeout=_TIMEOUT_S)
        content = answer.json() if answer.status_code == 200 else []
    except (httpx.HTTPError, ValueError):
        return []
    rows = content.get("keys") if isinstance(content, Mapping) else content
    return [row for row in (rows if isinstance(rows, list) else [])[:MAX_READ] if isinstance(row, Mapping)]


def _name(row: Mapping[str, Any], alias: str) -> str:
    return str(row.get(alias) or row.get("key_name") or row.get("team_id") or "(without a name)")


def _counted(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} {kind}{'s' if len(names) != 1 else ''} ({shown})"


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):  # as some releases store it
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}
