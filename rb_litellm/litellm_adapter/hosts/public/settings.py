"""Our part of router settings, taken out of them for a LiteLLM that does not know the strategy's name.

LiteLLM gets the settings that are left: in the place of ours stands one of its own strategies, the stand-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.litellm_adapter.hosts.host import is_ours

STAND_IN = "simple-shuffle"
"""What LiteLLM is told in the place of our name."""

Args = Mapping[str, Any]
Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """A routing group as the operator wrote it."""

    name: str
    models: frozenset[str]
    strategy: str
    """As LiteLLM knows it: the stand-in if the group is ours."""
    ours: bool
    args: Args | None

    def keeps(self, before: Group | None) -> bool:
        """Whether it is LiteLLM's own word for our group `before`, sent back unchanged."""
        return (
            before is not None
            and before.ours
            and not self.ours
            and (self.strategy, self.models) == (before.strategy, before.models)
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who shall pick on a router, by its operator's settings."""

    ours: bool = False
    """Whether the router's own strategy is RouteBalance,"""
    args: Args | None = None
    """and its arguments."""
    strategy: str = STAND_IN
    """The router's own strategy as LiteLLM knows it: the stand-in if it is ours."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    shadows: tuple[str, ...] = ()
    """Settings that ask for shadow mode, by their names; LiteLLM's base strategy serves there."""

    @property
    def anything(self) -> bool:
        """Whether RouteBalance has anything to pick."""
        return self.ours or any(group.ours for group in self.groups.values())

    @property
    def our_groups(self) -> dict[str, frozenset[str]]:
        """Our routing groups with their members."""
        return {name: group.models for name, group in self.groups.items() if group.ours}

    @property
    def shuffled(self) -> list[str]:
        """Settings that name a strategy of LiteLLM that is passed over once our plugin picks."""
        found = [f"routing group {g.name} ({g.strategy})" for g in self.groups.values() if _passed_over(g)]
        if not self.ours and self.strategy != STAND_IN:
            found.insert(0, f"routing_strategy ({self.strategy})")
        return found

    def group_of(self, model: str) -> Group | None:
        """The group that decides a model name: the group of this name, or the one with this member."""
        if model in self.groups:
            return self.groups[model]
        members = (g for g in self.groups.values() if model in g.models and g.strategy != "priority")
        return next(members, None)


def take_out(settings: Settings) -> tuple[dict[str, Any], Wanted]:
    """A Router's constructor arguments without what is ours, and what is ours."""
    return take_out_change(settings, Wanted())


def take_out_change(settings: Settings, before: Wanted) -> tuple[dict[str, Any], Wanted]:
    """The same for settings that change what was wanted `before`.

    LiteLLM tells its stand-in as the strategy of what is ours. Where somebody sends that back, nothing was
    changed, and what is ours stays so.
    """
    left = dict(settings)
    after = _own_strategy(left, before)
    if "routing_groups" in left:
        given = list(left["routing_groups"] or ())
        groups = [_group(entry) for entry in given]
        kept = [before.groups[g.name] if g.keeps(before.groups.get(g.name)) else g for g in groups]
        shadows = [f"routing group {g.name}" for g in groups if _base_strategy(g) is not None]
        after = replace(
            after,
            groups={group.name: _served(group) for group in kept},
            shadows=(*after.shadows, *shadows),
        )
        left["routing_groups"] = [_left(e, g) for e, g in zip(given, groups, strict=True)]
    return left, after


def strategy_name(strategy: object) -> str | None:
    """A strategy's name, from itself or from LiteLLM's enumeration."""
    value = getattr(strategy, "value", strategy)
    return None if value is None else str(value)


def _own_strategy(left: dict[str, Any], before: Wanted) -> Wanted:
    after = replace(before, shadows=())
    name = strategy_name(left.get("routing_strategy"))
    if is_ours(name):
        args = left.pop("routing_strategy_args", before.args if before.ours else None)
        base = _shadow_base(args)
        after = replace(after, ours=base is None, args=args, strategy=base or STAND_IN)
        if base is not None:
            after = replace(after, shadows=("routing_strategy",))
        left["routing_strategy"] = after.strategy
    elif name is not None:
        if not (before.ours and name == before.strategy):
            after = replace(after, ours=False, args=None, strategy=name)
    elif before.ours and "routing_strategy_args" in left:
        after = replace(after, args=left.pop("routing_strategy_args"))
    return after


def _passed_over(group: Group) -> bool:
    # A priority group's order is kept among the candidates themselves.
    return not group.ours and group.strategy not in (STAND_IN, "priority")


def _group(given: Any) -> Group:
    entry = _entry(given)
    strategy = strategy_name(entry.get("routing_strategy")) or STAND_IN
    ours = is_ours(strategy)
    return Group(
        str(entry.get("group_name")),
        frozenset(map(str, entry.get("models") or ())),
        STAND_IN if ours else strategy,
        ours,
        entry.get("routing_strategy_args"),
    )


def _served(group: Group) -> Group:
    base = _base_strategy(group)
    return group if base is None else replace(group, ours=False, strategy=base, args=None)


def _base_strategy(group: Group) -> str | None:
    """What serves a group that asks for shadow mode; None for all others."""
    return _shadow_base(group.args) if group.ours else None


def _left(given: Any, group: Group) -> Any:
    if not group.ours:
        return given
    kept = {name: value for name, value in _entry(given).items() if name != "routing_strategy_args"}
    return {**kept, "routing_strategy": _served(group).strategy}


def _entry(group: Any) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = group if isinstance(group, Mapping) else group.model_dump()
    return entry


def _shadow_base(args: Args | None) -> str | None:
    try:
        settings = parse_settings(args, "routing_strategy_args")
    except SettingsError:
        return None  # Told where the selector is built.
    return str(settings.base_strategy) if settings.mode == "shadow" else None
