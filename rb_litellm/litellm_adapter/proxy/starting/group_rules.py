"""Router settings and routing groups that LiteLLM refuses at start, or whose requests would fail."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rb_litellm.config import RouteBalanceSettings
from rb_litellm.litellm_adapter.hosts.host import PRIORITY, STRATEGY, known_strategies
from rb_litellm.litellm_adapter.shared.entries.model_kinds import CHAT, kind_of
from rb_litellm.litellm_adapter.shared.predictor_folders import joined
from rb_litellm.suggestion import did_you_mean

_RESERVED = "default"


def group_mistakes(config: Mapping[str, Any], names: Collection[str] | None) -> Iterator[str]:
    """What is wrong with the strategies and groups of a configuration, one message each.

    `names` are the models that a group may name; None where more may come from a database.
    """
    router = _mapping(config.get("router_settings"))
    yield from _strategy(
        "router_settings", router.get("routing_strategy"), {*known_strategies()} - {PRIORITY}
    )
    groups = router.get("routing_groups")
    if groups is None:
        return
    if not isinstance(groups, list):
        yield f"router_settings.routing_groups: holds {groups!r}; allowed is a list of groups"
        return
    where_of: dict[str, str] = {}
    owners: dict[str, list[str]] = {}
    for number, group in enumerate(groups):
        name = _mapping(group).get("group_name")
        where = f"router_settings.routing_groups ({name or number})"
        if not isinstance(group, Mapping):
            yield f"{where}: holds {group!r}; allowed is a mapping of group_name, models and routing_strategy"
            continue
        yield from _name(where, name, where_of)
        yield from _strategy(where, group.get("routing_strategy"), known_strategies(), required=True)
        yield from _models(where, group, names)
        if group.get("routing_strategy") != PRIORITY:
            for model in dict.fromkeys(map(str, _list(group.get("models")))):
                owners.setdefault(model, []).append(str(name))
        if group.get("routing_strategy") == STRATEGY:
            yield from _kinds(where, group, config)
    for model, its in owners.items():
        if len(its) > 1:
            yield (
                f"router_settings.routing_groups: the model {model} is in the groups {' and '.join(its)}; "
                "allowed is one group for each model"
            )


def judge_mistakes(settings: RouteBalanceSettings, config: Mapping[str, Any], where: str) -> Iterator[str]:
    """Judges and a baseline that are no model of the configuration, one message each."""
    known = {str(_mapping(entry).get("model_name")) for entry in _list(config.get("model_list"))}
    cascade, best_of = settings.cascade, settings.best_of
    evaluation = settings.shadow_evaluation
    judges = {
        "cascade.judge.model": None if cascade is None else cascade.judge.model,
        "best_of.judge.model": None if best_of is None else best_of.judge.model,
        "shadow_evaluation.judge": None if evaluation is None else evaluation.judge,
        "baseline": settings.baseline,
    }
    for name, judge in judges.items():
        if judge is not None and judge not in known:
            hint = did_you_mean(judge, known)
            yield f"{where}.{name}: unknown model (value {judge!r}); {hint}allowed are {joined(known)}"


def kinds_of(members: Collection[str], config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Model groups by what they are stated to be for; those of which nobody says it are left out."""
    found: dict[str, list[str]] = {}
    for entry in map(_mapping, _list(config.get("model_list"))):
        kind, name = kind_of(entry), str(entry.get("model_name"))
        if name in members and kind is not None and name not in found.setdefault(kind, []):
            found[kind].append(name)
    return found


def told_kinds(kinds: Mapping[str, list[str]]) -> str:
    """`chat (a, b) and speech (c)`, chat first."""
    ordered = sorted(kinds.items(), key=lambda item: (item[0] != CHAT, item[0]))
    return " and ".join(f"{kind} ({', '.join(names)})" for kind, names in ordered)


def _name(where: str, name: object, seen: dict[str, str]) -> Iterator[str]:
    if not isinstance(name, str) or not name:
        yield f"{where}.group_name: is {name!r}; allowed is the name that clients ask for"
    elif name == _RESERVED:
        yield f"{where}.group_name: is 'default', which LiteLLM keeps for itself; allowed is any other name"
    elif name in seen:
        yield f"{where}.group_name: two groups have the name {name!r}; allowed is one"
    else:
        seen[name] = where


def _strategy(where: str, stated: object, known: Collection[str], required: bool = False) -> Iterator[str]:
    if stated is None and not required:
        return
    if stated is None:
        yield f"{where}.routing_strategy: is missing; LiteLLM needs one for each group, e.g. {STRATEGY}"
    elif known and str(stated) not in known:
        hint = did_you_mean(str(stated), known)
        allowed = ", ".join(sorted(known))
        yield f"{where}.routing_strategy: unknown strategy {stated!r}; {hint}allowed are {allowed}"


def _models(where: str, group: Mapping[str, Any], names: Collection[str] | None) -> Iterator[str]:
    models = group.get("models")
    if not isinstance(models, list) or (not models and group.get("routing_strategy") == STRATEGY):
        stated = "is missing" if "models" not in group else f"holds {models!r}"
        yield f"{where}.models: {stated}; allowed is a list of model names of model_list"
    elif names is not None and group.get("routing_strategy") == STRATEGY:
        unknown = [model for model in map(str, models) if model not in names]
        if unknown:
            hint = did_you_mean(unknown[0], names)
            yield f"{where}.models: unknown model group (value {unknown}); {hint}allowed are {joined(names)}"


def _kinds(where: str, group: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    kinds = kinds_of({str(model) for model in _list(group.get("models"))}, config)
    if len(kinds) > 1:
        yield (
            f"{where}.models: mixes {told_kinds(kinds)}, and a request of one kind fails on the others; "
            "allowed are models of one kind"
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
