"""LiteLLM's `enable_weighted_failover` under our strategy, for the Router whose core is Rust.

With that setting a failed request is sent to another deployment of its model group before any fallback to
another group. The core does so under simple-shuffle alone, which it knows by name. It does follow a
fallback to the same group, though, if the entry says which deployments to leave out. So the core is told of
such entries, before those that the operator has configured: one for each further deployment of a group.
Which have failed, our selector knows by itself; the entries leave out a name that nobody has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_EXCLUDED = "_excluded_deployment_ids"
_MOST = 16
"""Entries for a group: LiteLLM bounds fallbacks by `max_fallbacks`, which is 5 unless set."""


def document(
    original: Callable[..., Any],
    core: Any,
    model_names: Sequence[str],
    served_by_us: Callable[[Any], Callable[[str], bool]],
) -> Mapping[str, Any]:
    """The settings as the core is told of them; `served_by_us(core)` says whether we pick for a name."""
    settings: Mapping[str, Any] = original(model_names)
    if not core._plain.get("enable_weighted_failover"):
        return settings
    configured: list[Any] = list(settings.get("fallbacks") or ())
    if any(not isinstance(entry, Mapping) for entry in configured):
        return settings
    ours = served_by_us(core)
    counts: dict[str, int] = {}
    for name in model_names:
        counts[name] = counts.get(name, 0) + 1
    for group in core._resolved.routing_groups:
        counts.setdefault(str(group.group_name), sum(counts.get(model, 0) for model in group.models))
    own = [
        {name: [*_entries(name, count - 1), *_configured(configured, name)]}
        for name, count in counts.items()
        if count > 1 and ours(name)
    ]
    kept = [entry for entry in configured if not any(name in mine for mine in own for name in entry)]
    return {**settings, "fallbacks": [*own, *kept]}


def _entries(name: str, count: int) -> list[dict[str, Any]]:
    # Each must differ from the others, or the core takes it for tried.
    return [{"model": name, _EXCLUDED: [f"routebalance-{i}"]} for i in range(min(count, _MOST))]


def _configured(configured: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """The fallbacks of a group: its own, or those of all."""
    for key in (name, "*"):
        for entry in configured:
            if key in entry:
                return list(entry[key])
    return []
