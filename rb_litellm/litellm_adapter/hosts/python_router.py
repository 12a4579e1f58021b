"""LiteLLM 1.106 to 1.109: the Router picks in Python.

It picks a deployment in three steps: it resolves which strategy and selector serve the model,
filters the deployments down to the healthy and permitted ones, and asks the selector. This host
teaches the first and the last step a further strategy and leaves the middle one alone, so every
filter, cooldown, tag, budget and policy plugin of LiteLLM applies as before. Routing groups, per-key
overrides and settings updates build their selectors in the same place; what a request brings itself is
looked at in the first step (see `held_strategies`).

What is wrapped, in the class that holds the Router's logic (`Router` up to 1.108, `PythonCore` in
1.109), is listed in `NAMES`; tests/litellm_contract runs against each supported release.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

from rb_litellm.litellm_adapter.build_selector import build_selector
from rb_litellm.litellm_adapter.further_answers.judged import followed_up
from rb_litellm.litellm_adapter.hosts.held_strategies import held
from rb_litellm.litellm_adapter.hosts.host import (
    PRIORITY,
    STRATEGY,
    Cooldown,
    UnsupportedLiteLLM,
    cooldowns_of,
    is_ours,
)
from rb_litellm.litellm_adapter.hosts.python_failover import FAILOVER, SHUFFLE, RouterView, fail_over
from rb_litellm.litellm_adapter.hosts.settings import changes as strategy_changes
from rb_litellm.litellm_adapter.hosts.settings import page as settings_page
from rb_litellm.litellm_adapter.hosts.settings.check import update_checked
from rb_litellm.litellm_adapter.hosts.subcalls import metadata_of_subcall
from rb_litellm.litellm_adapter.hosts.wrapping import wrap
from rb_litellm.litellm_adapter.request.rights.own_strategy import STRATEGY_FIELD
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector
from rb_litellm.litellm_adapter.worker import worker

_ALIAS = ("_core_get_model_from_alias", "get_model_from_alias")
_BASES = "routebalance_bases"
"""Where a Router keeps the selectors of LiteLLM's own strategies that serve in shadow mode."""
_ATTRIBUTE = "routebalance_selector"
_MARK = "__routebalance__"

# What must exist in the class that routes. A release without one of them needs another host.
NAMES = (
    "_DEFAULT_SELECTOR_ATTR_BY_STRATEGY",
    "_OVERRIDABLE_ROUTING_STRATEGIES",
    "_async_get_available_deployment",
    "_build_strategy_selector",
    "_get_routing_context",
    "_replace_routing_groups",
    "_select_deployment_async",
    "_select_deployment_sync",
    "_switch_routing_strategy",
)
# Names that moved between releases: the first that exists is used.
_REPLACE = ("_core_set_custom_routing_strategy", "set_custom_routing_strategy")
_STRATEGY_OF = ("_core_routing_strategy", "routing_strategy")
_GROUPS_OF = ("_core_routing_groups", "routing_groups")
# A Router that is not used any more takes its callbacks with it.
_LEAVE = ("_core_discard", "discard")
_UNREGISTER = "_unregister_router_selectors"
# How LiteLLM's auto routers leave their decision in a request's metadata; without it none is shown.
RECORD = "_record_routing_decision"
# What a Router has once its own selectors are built. Until then a wrong deployment stops the start; one that
# comes later must not keep settings from changing, or fail a request that brings our strategy along.
_BUILT = "_override_selectors_lock"
# Settings that change at run time; LiteLLM builds selectors from them without a second look.
_UPDATE = ("_core_update_settings", "update_settings")
# What the Admin UI is told of them.
_TOLD = ("_core_get_settings", "get_settings")
_GROUP_MODULES = ("litellm.litellm_core_utils.routing_groups", "litellm.router_utils.routing_groups")


class PythonRouter:
    """The host of LiteLLM 1.106 to 1.109."""

    limits: tuple[str, ...] = ()

    def install(self) -> None:
        """Wrap the class that routes. Idempotent.

        Raises:
            UnsupportedLiteLLM: naming the release and what it lacks.
        """
        core = routing_class()
        if getattr(core, _MARK, False):
            return
        lacking = missing()
        if lacking:
            raise UnsupportedLiteLLM(
                f"litellm {version('litellm')} is not supported: {core.__name__} lacks {', '.join(lacking)}; "
                "the supported releases are in docs/litellm.md"
            )
        groups = groups_module()
        groups.VALID_ROUTING_STRATEGIES = (*groups.VALID_ROUTING_STRATEGIES, STRATEGY)
        core._DEFAULT_SELECTOR_ATTR_BY_STRATEGY[STRATEGY] = _ATTRIBUTE
        core._OVERRIDABLE_ROUTING_STRATEGIES = core._OVERRIDABLE_ROUTING_STRATEGIES | {STRATEGY}
        wrap(core, "_build_strategy_selector", _build_selector)
        wrap(core, "_get_routing_context", _context)
        wrap(core, "_select_deployment_async", _select_async)
        wrap(core, "_select_deployment_sync", _select_sync)
        wrap(core, "_switch_routing_strategy", _announce_switch)
        wrap(core, "_replace_routing_groups", _announce_groups)
        # The innermost one: it alone looks at the strategy's name.
        wrap(core, "_async_get_available_deployment", _pick_asynchronously)
        wrap(core, str(_first(core, _REPLACE)), _announce_replacement)
        wrap(core, str(_first(core, _UPDATE)), _update)
        wrap(core, str(_first(core, _TOLD)), _tell_arguments)
        if hasattr(core, "acompletion"):
            wrap(core, "acompletion", followed_up)
        if hasattr(core, FAILOVER):
            wrap(core, FAILOVER, fail_over)
        if (leave := _first(core, _LEAVE)) is not None:
            wrap(core, leave, _leave)
        _offer_strategy()
        setattr(core, _MARK, True)

    def strategies(self) -> Collection[str]:
        """See `Host`."""
        groups: Any = groups_module()
        return (*groups.VALID_ROUTING_STRATEGIES, PRIORITY)

    def strategy_of(self, router: Any) -> str | None:
        """See `Host`."""
        return _strategy_of(router)

    def our_groups(self, router: Any) -> Mapping[str, Collection[str]]:
        """See `Host`."""
        groups: Any = next((getattr(router, name) for name in _GROUPS_OF if hasattr(router, name)), None)
        return {
            str(name): tuple(group.models)
            for name, group in (groups if isinstance(groups, Mapping) else {}).items()
            if is_ours(group.routing_strategy)
        }

    async def cooldowns(self, router: Any, ids: list[str]) -> Mapping[str, Cooldown]:
        """See `Host`."""
        return cooldowns_of(await router.cooldown_cache.async_get_active_cooldowns(ids, None))

    async def filtered(
        self, router: Any, model: str, entries: list[dict[str, Any]], messages: Any, kwargs: dict[str, Any]
    ) -> list[str]:
        """See `Host`."""
        left = await router.async_callback_filter_deployments(model, entries, messages, None, kwargs)
        return [str(entry["model_info"]["id"]) for entry in left]

    def serves(self, router: Any, id: str) -> bool:
        """See `Host`."""
        return bool(router.has_model_id(id))

    def selector_for(
        self, router: Any, model: object, request_kwargs: Mapping[str, Any]
    ) -> RouteBalanceSelector | None:
        """See `Host`."""
        resolve = getattr(router, "_get_routing_context", None)
        if resolve is None or not isinstance(model, str):
            return None
        _, selector = resolve(model, request_kwargs)
        return selector if isinstance(selector, RouteBalanceSelector) else None

    def record_decision(self, request_kwargs: dict[str, Any], decision: dict[str, Any]) -> None:
        """See `Host`."""
        record = getattr(routing_class(), RECORD, None)
        if record is not None:
            record(request_kwargs=request_kwargs, routing_decision=decision)

    def subcall_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """See `Host`."""
        return metadata_of_subcall(metadata)

    def watch(self, router: Any) -> None:
        """Nothing is lost here without a call that is wrapped above."""


def missing() -> list[str]:
    """What this host needs and the installed LiteLLM lacks; empty where it fits."""
    core = routing_class()
    lacking = [name for name in NAMES if not hasattr(core, name)]
    lacking += [names[-1] for names in (_REPLACE, _UPDATE, _TOLD) if _first(core, names) is None]
    return lacking if groups_module() is not None else [*lacking, "routing_groups"]


@functools.cache
def routing_class() -> Any:
    """The class that holds the Router's logic."""
    import litellm.router

    return getattr(litellm.router, "PythonCore", None) or litellm.router.Router


def groups_module() -> Any:
    """The module that knows the strategies' names; None where there is none."""
    for name in _GROUP_MODULES:
        try:
            return import_module(name)
        except ModuleNotFoundError:  # noqa: PERF203  two names at most
            continue
    return None


def _first(core: object, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if hasattr(core, name)), None)


def _strategy_of(router: Any) -> str | None:
    for name in _STRATEGY_OF:
        value = getattr(router, name, None)
        if value is not None:
            return str(getattr(value, "value", value))
    return None


def _build_selector(
    original: Callable[..., Any],
    router: Any,
    strategy: Any,
    routing_strategy_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    if not is_ours(strategy):
        return original(strategy=strategy, routing_strategy_args=routing_strategy_args, **kwargs)
    # `router` may be the core behind LiteLLM's facade; both offer what the strategy asks of it.
    if not hasattr(router, _BUILT):
        worker().runtime.catalog.check(getattr(router, "model_list", None) or ())
    selector = build_selector(router, routing_strategy_args)
    if selector.settings.mode == "shadow":
        # Kept with the router: a selector that was replaced would go on hearing of every request.
        bases = router.__dict__.setdefault(_BASES, {})
        base = selector.settings.base_strategy
        if base not in bases:
            bases[base] = original(strategy=base, routing_strategy_args={}, **kwargs)
    return selector


def _context(
    original: Callable[..., Any], router: Any, model: str, request_kwargs: Mapping[str, Any] | None = None
) -> Any:
    """Strategy and selector for a request: those of its model where what it brings itself does not count."""
    if not request_kwargs or request_kwargs.get(STRATEGY_FIELD) is None:
        return original(model, request_kwargs)
    own = original(model, None)
    ours = own[1] if isinstance(own[1], RouteBalanceSelector) else None
    return own if held(ours, request_kwargs) else original(model, request_kwargs)


def _asked(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The request that LiteLLM asks a selector about, in our selector's words."""
    return {
        "model": kwargs["model"],
        "healthy": kwargs["healthy_deployments"],
        "messages": kwargs.get("messages"),
        "input": kwargs.get("input"),
        "request_kwargs": kwargs.get("request_kwargs"),
    }


def _watched(selector: RouteBalanceSelector, chosen: Any, kwargs: Mapping[str, Any]) -> Any:
    """What LiteLLM's own strategy has chosen in shadow mode, after we have looked on.

    None, too, is its answer: nothing is left, and LiteLLM refuses the request.
    """
    if chosen is not None:
        selector.watch(chosen, **_asked(kwargs))
    return chosen


def _shuffled(router: Any, kwargs: Mapping[str, Any]) -> Any:
    from litellm.router_strategy.simple_shuffle import simple_shuffle

    alias = _first(router, _ALIAS)
    return simple_shuffle(
        resolve_model_alias=getattr(router, alias) if alias else lambda _: None,
        healthy_deployments=kwargs["healthy_deployments"],
        model=kwargs["model"],
        request_kwargs=kwargs.get("request_kwargs"),
    )


def _of_base(router: Any, selector: RouteBalanceSelector, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What LiteLLM would ask with the strategy that serves in shadow mode in our place."""
    base = selector.settings.base_strategy
    return {**kwargs, "strategy": base, "selector": router.__dict__[_BASES][base]}


async def _select_async(original: Callable[..., Any], router: Any, **kwargs: Any) -> Any:
    selector = kwargs.get("selector")
    if not isinstance(selector, RouteBalanceSelector):
        return await original(**kwargs)
    if selector.settings.mode != "shadow":
        return await selector.select(**_asked(kwargs))
    if selector.settings.base_strategy == SHUFFLE:
        return _watched(selector, _shuffled(router, kwargs), kwargs)
    return _watched(selector, await original(**_of_base(router, selector, kwargs)), kwargs)


def _select_sync(original: Callable[..., Any], router: Any, **kwargs: Any) -> Any:
    selector = kwargs.get("selector")
    if not isinstance(selector, RouteBalanceSelector):
        return original(**kwargs)
    if selector.settings.mode != "shadow":
        return selector.select_now(**_asked(kwargs))
    if selector.settings.base_strategy == SHUFFLE:
        return _watched(selector, _shuffled(router, kwargs), kwargs)
    return _watched(selector, original(**_of_base(router, selector, kwargs)), kwargs)


async def _pick_asynchronously(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    """Have LiteLLM pick as for a strategy that has an asynchronous selector, or as for shadow mode's base.

    It sends every strategy that it does not know by name down the synchronous path, past its policy plugins
    and pre-routing hooks. The pick therefore runs on a view that says another name; whatever it calls on the
    Router is bound to the Router itself and sees the true strategy.
    """
    if _strategy_of(router) != STRATEGY:
        return await original(*args, **kwargs)
    settings = getattr(router, _ATTRIBUTE).settings
    name = settings.base_strategy if settings.mode == "shadow" else SHUFFLE
    view = RouterView(router, **dict.fromkeys(_STRATEGY_OF, name))
    return await original.func(view, *args, **kwargs)  # type: ignore[attr-defined]


def _leave(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    """A Router that is given up leaves nothing of ours behind in LiteLLM's lists of callbacks."""
    result = original(*args, **kwargs)
    if hasattr(router, _UNREGISTER):
        getattr(router, _UNREGISTER)([*router.__dict__.get(_BASES, {}).values()])
    worker().left(router)
    return result


def _update(original: Callable[..., Any], router: Any, **kwargs: Any) -> Any:
    return update_checked(original, router, kwargs, _strategy_of(router))


def _offer_strategy() -> None:
    import litellm.router
    from litellm.types.management_endpoints import ROUTING_STRATEGY_DESCRIPTIONS

    settings_page.offer_strategy(ROUTING_STRATEGY_DESCRIPTIONS, litellm.router.Router)


def _tell_arguments(original: Callable[..., Any], router: Any) -> dict[str, Any]:
    settings = original()
    return {**settings, **settings_page.fields(settings)}


def _announce_switch(original: Callable[..., Any], router: Any, routing_strategy: Any, kwargs: Any) -> Any:
    before = _strategy_of(router)
    result = original(routing_strategy, kwargs)
    strategy_changes.strategy_changed(before, str(getattr(routing_strategy, "value", routing_strategy)))
    return result


def _announce_groups(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    host = PythonRouter()
    before = set(host.our_groups(router))
    result = original(*args, **kwargs)
    strategy_changes.groups_changed(before, set(host.our_groups(router)))
    return result


def _announce_replacement(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    if _strategy_of(router) == STRATEGY:
        strategy_changes.pick_replaced()
    return original(*args, **kwargs)
