"""How the strategy gets into a LiteLLM Router; the one file that holds LiteLLM's private names.

LiteLLM picks a deployment in three steps: it resolves which strategy and selector serve the model,
filters the deployments down to the healthy and permitted ones, and asks the selector. `register`
teaches the first and the last step a further strategy and leaves the middle one alone, so every
filter, cooldown, tag, budget and policy plugin of LiteLLM applies as before. Routing groups, per-key
overrides and settings updates build their selectors in the same place and need nothing more.

What is wrapped, in the class that holds the Router's logic (`Router` up to 1.108, `PythonCore` from
1.109), is listed in `_NAMES`; tests/litellm_contract runs against each supported release.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from rb_litellm.litellm_adapter.hosts import settings_page, strategy_changes
from rb_litellm.litellm_adapter.hosts.settings_check import wrong_settings
from rb_litellm.litellm_adapter.hosts.settings_page import STRATEGY, is_ours

_ALIAS = ("_core_get_model_from_alias", "get_model_from_alias")
_BASES = "routebalance_bases"
"""Where a Router keeps the selectors of LiteLLM's own strategies that serve in shadow mode."""
_REFUSED = "routebalance_refused"
"""Where a Router keeps what was wrong with the settings of its last update."""
_ATTRIBUTE = "routebalance_selector"
_MARK = "__routebalance__"
_log = logging.getLogger("rb_litellm")

# What must exist in the class that routes. A release without one of them is refused by name.
_NAMES = (
    "_DEFAULT_SELECTOR_ATTR_BY_STRATEGY",
    "_OVERRIDABLE_ROUTING_STRATEGIES",
    "_async_get_available_deployment",
    "_build_strategy_selector",
    "_replace_routing_groups",
    "_select_deployment_async",
    "_select_deployment_sync",
    "_switch_routing_strategy",
)
# Names that moved between releases: the first that exists is used.
_REPLACE = ("_core_set_custom_routing_strategy", "set_custom_routing_strategy")
_STRATEGY_OF = ("_core_routing_strategy", "routing_strategy")
_GROUPS_OF = ("_core_routing_groups", "routing_groups")
# How LiteLLM's auto routers leave their decision in a request's metadata; without it none is shown.
_RECORD = "_record_routing_decision"
# Settings that change at run time; LiteLLM builds selectors from them without a second look.
_UPDATE = ("_core_update_settings", "update_settings")
# What the Admin UI is told of them, and the names that it may write.
_TOLD = ("_core_get_settings", "get_settings")
_WRITABLE = "RUNTIME_UPDATABLE_ROUTER_SETTINGS"
_MAY_WRITE = "reject_config_owned_writes"
_APPLY_STORED = "_add_router_settings_from_db_config"
_GROUP_MODULES = ("litellm.litellm_core_utils.routing_groups", "litellm.router_utils.routing_groups")


class UnsupportedLiteLLM(RuntimeError):
    """The installed LiteLLM lacks something that the strategy is built on."""


def register() -> None:
    """Make `routing_strategy: routebalance` known to every Router of this process. Idempotent.

    Raises:
        UnsupportedLiteLLM: naming the release and what it lacks.
    """
    core = _routing_class()
    if getattr(core, _MARK, False):
        return
    groups = _groups_module()
    replace, update, told = (_first(core, names) for names in (_REPLACE, _UPDATE, _TOLD))
    missing = [name for name in _NAMES if not hasattr(core, name)]
    if missing or groups is None or replace is None or update is None or told is None:
        raise UnsupportedLiteLLM(
            f"litellm {version('litellm')} is not supported: {core.__name__} lacks "
            f"{', '.join(missing) or 'its custom strategies, its routing groups or its settings'}; "
            "see the supported range in the README"
        )
    groups.VALID_ROUTING_STRATEGIES = (*groups.VALID_ROUTING_STRATEGIES, STRATEGY)
    core._DEFAULT_SELECTOR_ATTR_BY_STRATEGY[STRATEGY] = _ATTRIBUTE
    core._OVERRIDABLE_ROUTING_STRATEGIES = core._OVERRIDABLE_ROUTING_STRATEGIES | {STRATEGY}
    _wrap(core, "_build_strategy_selector", _build_selector)
    _wrap(core, "_select_deployment_async", _select_async)
    _wrap(core, "_select_deployment_sync", _select_sync)
    _wrap(core, "_switch_routing_strategy", _announce_switch)
    _wrap(core, "_replace_routing_groups", _announce_groups)
    # The innermost one: it alone looks at the strategy's name.
    _wrap(core, "_async_get_available_deployment", _pick_asynchronously)
    _wrap(core, replace, _announce_replacement)
    _wrap(core, update, _keep_what_works)
    _wrap(core, told, _tell_arguments)
    _offer_strategy()
    setattr(core, _MARK, True)


def router_strategy(router: object) -> str | None:
    """The strategy that a Router serves its models with where no routing group says otherwise."""
    for name in _STRATEGY_OF:
        value = getattr(router, name, None)
        if value is not None:
            return str(getattr(value, "value", value))
    return None


def routed_by_us(router: Any) -> frozenset[str | None]:
    """Model names that a Router serves with our strategy; None: all that no routing group claims."""
    models: set[str | None] = set()
    for group in _our_groups(router).values():
        models |= set(group.models)
    if router_strategy(router) == STRATEGY:
        models.add(None)
    return frozenset(models)


def record_decision(request_kwargs: dict[str, Any], decision: dict[str, Any]) -> None:
    """Leave a decision in a request's metadata as LiteLLM's own auto routers do; the last attempt's stays."""
    record = getattr(_routing_class(), _RECORD, None)
    if record is not None:
        record(request_kwargs=request_kwargs, routing_decision=decision)


def selector_for(router: object, model: object, request_kwargs: Mapping[str, Any]) -> Any:
    """Our selector that will decide a request for this model name; None where another strategy will."""
    resolve = getattr(router, "_get_routing_context", None)
    if resolve is None or not isinstance(model, str):
        return None
    _, selector = resolve(model, request_kwargs)
    return selector if _is_ours(selector) else None


@functools.cache
def _routing_class() -> Any:
    import litellm.router

    return getattr(litellm.router, "PythonCore", None) or litellm.router.Router


def _groups_module() -> Any:
    from importlib import import_module

    for name in _GROUP_MODULES:
        try:
            return import_module(name)
        except ModuleNotFoundError:  # noqa: PERF203  two names at most
            continue
    return None


def _first(core: object, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if hasattr(core, name)), None)


def _wrap(core: Any, name: str, around: Callable[..., Any]) -> None:
    original = inspect.getattr_static(core, name)
    if not inspect.isfunction(original):
        raise UnsupportedLiteLLM(f"litellm {version('litellm')} is not supported: {name} is not a method")

    # A coroutine function must stay one: LiteLLM inspects some of these.
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await around(functools.partial(original, self), self, *args, **kwargs)
    else:

        @functools.wraps(original)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            return around(functools.partial(original, self), self, *args, **kwargs)

    setattr(core, name, wrapped)


def _is_ours(selector: object) -> bool:
    from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector

    return isinstance(selector, RouteBalanceSelector)


def _build_selector(
    original: Callable[..., Any],
    router: Any,
    strategy: Any,
    routing_strategy_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    if not is_ours(strategy):
        return original(strategy=strategy, routing_strategy_args=routing_strategy_args, **kwargs)
    from rb_litellm.litellm_adapter.strategy import build_selector

    # `router` may be the core behind LiteLLM's facade; both offer what the strategy asks of it.
    selector = build_selector(router, routing_strategy_args)
    if selector.settings.mode == "shadow":
        # Kept with the router: a selector that was replaced would go on hearing of every request.
        bases = router.__dict__.setdefault(_BASES, {})
        base = selector.settings.base_strategy
        if base not in bases:
            bases[base] = original(strategy=base, routing_strategy_args={}, **kwargs)
    return selector


def _asked(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The request that LiteLLM asks a selector about, in our selector's words."""
    return {
        "model": kwargs["model"],
        "healthy": kwargs["healthy_deployments"],
        "messages": kwargs.get("messages"),
        "input": kwargs.get("input"),
        "request_kwargs": kwargs.get("request_kwargs"),
    }


def _watched(selector: Any, chosen: Any, kwargs: Mapping[str, Any]) -> Any:
    """What LiteLLM's own strategy has chosen in shadow mode, after we have looked on."""
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


async def _select_async(original: Callable[..., Any], router: Any, **kwargs: Any) -> Any:
    selector = kwargs.get("selector")
    if not _is_ours(selector):
        return await original(**kwargs)
    if selector.settings.mode == "shadow":  # type: ignore[union-attr]
        base = selector.settings.base_strategy  # type: ignore[union-attr]
        chosen = await original(**{**kwargs, "strategy": base, "selector": router.__dict__[_BASES][base]})
        return _watched(selector, chosen or _shuffled(router, kwargs), kwargs)
    return await kwargs["selector"].select(**_asked(kwargs))


def _select_sync(original: Callable[..., Any], router: Any, **kwargs: Any) -> Any:
    selector = kwargs.get("selector")
    if not _is_ours(selector):
        return original(**kwargs)
    if selector.settings.mode == "shadow":  # type: ignore[union-attr]
        base = selector.settings.base_strategy  # type: ignore[union-attr]
        chosen = original(**{**kwargs, "strategy": base, "selector": router.__dict__[_BASES][base]})
        return _watched(selector, chosen or _shuffled(router, kwargs), kwargs)
    return kwargs["selector"].select_now(**_asked(kwargs))


class _AsynchronousView:
    """A Router that says of its strategy only that it has an asynchronous selector.

    LiteLLM's asynchronous pick sends every strategy that it does not know by name down the
    synchronous path, past its policy plugins and pre-routing hooks. The pick therefore runs on this
    view; whatever it calls on the Router is bound to the Router itself and sees the true strategy.
    """

    __slots__ = ("_router",)
    routing_strategy = "simple-shuffle"
    _core_routing_strategy = "simple-shuffle"

    def __init__(self, router: object) -> None:
        object.__setattr__(self, "_router", router)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._router, name, value)


async def _pick_asynchronously(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    if router_strategy(router) != STRATEGY:
        return await original(*args, **kwargs)
    return await original.func(_AsynchronousView(router), *args, **kwargs)  # type: ignore[attr-defined]


def _keep_what_works(original: Callable[..., Any], router: Any, **kwargs: Any) -> Any:
    """Let an update through without those of our settings that are wrong: for them the old ones stay.

    LiteLLM applies what is stored every so often: what was told already is not told again.
    """
    wrong = wrong_settings(kwargs, router_strategy(router))
    before, router.__dict__[_REFUSED] = router.__dict__.get(_REFUSED), wrong
    for name, messages in wrong.items():
        del kwargs[name]
        if wrong == before:
            continue
        _log.error("RouteBalance: new %s are refused, the old ones stay:\n%s", name, "\n".join(messages))
    return original(**kwargs)


async def stored_settings(server: Any) -> object:
    """The router settings in LiteLLM's database; None without a database."""
    client = getattr(server, "prisma_client", None)
    if client is None:
        return None
    row = await client.db.litellm_config.find_first(where={"param_name": "router_settings"})
    return getattr(row, "param_value", None)


def _offer_strategy() -> None:
    import litellm.router
    from litellm.types.management_endpoints import ROUTING_STRATEGY_DESCRIPTIONS

    settings_page.offer_strategy(ROUTING_STRATEGY_DESCRIPTIONS, litellm.router.Router)


def _tell_arguments(original: Callable[..., Any], router: Any) -> dict[str, Any]:
    settings = original()
    return {**settings, **settings_page.fields(settings)}


def offer_stored_settings(server: Any, router: Any) -> None:
    """Have the Admin UI's Router Settings label the arguments of our strategies, and save them."""
    from litellm.types.management_endpoints import ROUTER_SETTINGS_FIELDS
    from litellm.types.management_endpoints.router_settings_endpoints import RouterSettingsField

    fields = settings_page.fields(router.get_settings())
    settings_page.label(fields, ROUTER_SETTINGS_FIELDS, RouterSettingsField)
    if (writable := getattr(server, _WRITABLE, None)) is not None:
        others = frozenset(name for name in writable if not settings_page.is_field(name))
        setattr(server, _WRITABLE, others | fields.keys())


def guard_stored_settings(server: Any, router: Any) -> None:
    """Have `POST /config/update` refuse wrong settings of ours by 400, before they are stored. Idempotent.

    LiteLLM asks its proxy configuration there whether the settings may be written at all, with the very
    mapping that it then stores.
    """
    config = getattr(server, "proxy_config", None)
    may_write = getattr(config, _MAY_WRITE, None)
    if may_write is None or hasattr(may_write, _MARK):
        return
    from fastapi import HTTPException

    @functools.wraps(may_write)
    def checked(section_name: str, changed_keys: Any) -> Any:
        if section_name == "router_settings" and isinstance(changed_keys, dict):
            current = getattr(server, "llm_router", None) or router
            strategy = router_strategy(current)
            found = settings_page.take_in(changed_keys, current.get_settings())
            found += [m for messages in wrong_settings(changed_keys, strategy).values() for m in messages]
            if found:
                raise HTTPException(status_code=400, detail={"error": "\n".join(found)})
        return may_write(section_name=section_name, changed_keys=changed_keys)

    setattr(checked, _MARK, True)
    setattr(config, _MAY_WRITE, checked)


async def apply_stored_settings(server: Any, router: Any) -> None:
    """Have LiteLLM take over the router settings of its database now, as it does at long intervals."""
    apply = getattr(getattr(server, "proxy_config", None), _APPLY_STORED, None)
    if apply is not None:
        await apply(llm_router=router, prisma_client=server.prisma_client)


def _announce_switch(original: Callable[..., Any], router: Any, routing_strategy: Any, kwargs: Any) -> Any:
    before = router_strategy(router)
    result = original(routing_strategy, kwargs)
    strategy_changes.strategy_changed(before, str(getattr(routing_strategy, "value", routing_strategy)))
    return result


def _announce_groups(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    before = set(_our_groups(router))
    result = original(*args, **kwargs)
    strategy_changes.groups_changed(before, set(_our_groups(router)))
    return result


def _our_groups(router: Any) -> dict[str, Any]:
    """A Router's routing groups with our strategy, by name."""
    groups: Any = next((getattr(router, name) for name in _GROUPS_OF if hasattr(router, name)), None)
    return {
        str(name): group
        for name, group in (groups if isinstance(groups, Mapping) else {}).items()
        if is_ours(group.routing_strategy)
    }


def _announce_replacement(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    if router_strategy(router) == STRATEGY:
        strategy_changes.pick_replaced()
    return original(*args, **kwargs)
