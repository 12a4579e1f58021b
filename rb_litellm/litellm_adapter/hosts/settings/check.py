"""Whether new router settings may come into force: those of ours that are wrong are named, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from rb_litellm.litellm_adapter.build_selector import check_settings
from rb_litellm.litellm_adapter.hosts.host import is_ours

_REFUSED = "routebalance_refused"
"""Where a Router keeps what was wrong with the settings of its last update."""
_log = logging.getLogger("rb_litellm")


def wrong_settings(settings: Mapping[str, Any], current_strategy: str | None) -> dict[str, list[str]]:
    """What is wrong with our part of new router settings, by the setting's name; empty if nothing.

    `current_strategy` is the router's own, which settings that name none leave in force.
    """
    wrong: dict[str, list[str]] = {}
    strategy = settings.get("routing_strategy") or current_strategy
    if is_ours(strategy) and "routing_strategy_args" in settings:
        args = settings["routing_strategy_args"]
        wrong["routing_strategy_args"] = check_settings(args, "routing_strategy_args")
    wrong["routing_groups"] = []
    for group in settings.get("routing_groups") or ():
        entry = group if isinstance(group, Mapping) else group.model_dump()
        if is_ours(entry.get("routing_strategy")):
            where = f"routing_groups ({entry.get('group_name')}).routing_strategy_args"
            wrong["routing_groups"] += check_settings(entry.get("routing_strategy_args"), where)
    return {name: messages for name, messages in wrong.items() if messages}


def update_checked(
    update: Callable[..., Any], router: Any, settings: dict[str, Any], current_strategy: str | None
) -> Any:
    """Let `update(**settings)` through without those of our settings that are wrong: the old ones stay.

    LiteLLM applies what is stored every so often: what was told already is not told again.
    """
    wrong = wrong_settings(settings, current_strategy)
    before, router.__dict__[_REFUSED] = router.__dict__.get(_REFUSED), wrong
    for name, messages in wrong.items():
        del settings[name]
        if wrong != before:
            _log.error("RouteBalance: new %s are refused, the old ones stay:\n%s", name, "\n".join(messages))
    return update(**settings)
