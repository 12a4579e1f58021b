"""Whether new router settings may come into force: those of ours that are wrong are named, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rb_litellm.litellm_adapter.hosts.settings_page import is_ours


def wrong_settings(settings: Mapping[str, Any], current_strategy: str | None) -> dict[str, list[str]]:
    """What is wrong with our part of new router settings, by the setting's name; empty if nothing.

    `current_strategy` is the router's own, which settings that name none leave in force.
    """
    from rb_litellm.litellm_adapter.strategy import check_settings

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
