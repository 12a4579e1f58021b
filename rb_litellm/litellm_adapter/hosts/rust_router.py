"""LiteLLM 1.110 on: the Router picks in Rust, and asks Python for the strategies that Rust does not know.

Rust owns the deployments, filters, cooldowns, retries and fallbacks. When all filters are done, it asks
its Python side for the pick in a step `strategy`, wherever the strategy's name is none of those that it
implements itself. This host teaches the Python side one more name: what it accepts
(`VALID_ROUTING_STRATEGIES`), where selectors are built (see `rust.selectors`), what a pick is answered with
(see `rust.picks`), and which strategies take LiteLLM's asynchronous path, where policy plugins and
pre-routing hooks run. Rust itself never hears our name (see `rust.names`). Every filter of LiteLLM applies
as before.

All private names that this needs are listed in `NAMES`; tests/litellm_contract runs against each release.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from typing import Any

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
from rb_litellm.litellm_adapter.hosts.rust import failover, names, picks, selectors
from rb_litellm.litellm_adapter.hosts.settings import changes as strategy_changes
from rb_litellm.litellm_adapter.hosts.settings import page as settings_page
from rb_litellm.litellm_adapter.hosts.settings.check import update_checked
from rb_litellm.litellm_adapter.hosts.subcalls import metadata_of_subcall
from rb_litellm.litellm_adapter.hosts.wrapping import wrap
from rb_litellm.litellm_adapter.request.rights.own_strategy import STRATEGY_FIELD, named_by_body
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector
from rb_litellm.litellm_adapter.worker import worker

_CORE = "litellm.router_rust.core"
_SELECTION = "litellm.router_rust.steps.selection"
_PREROUTING = "litellm.router_rust.steps.prerouting"
_GROUPS = "litellm.litellm_core_utils.routing_groups"
_DESCRIPTIONS = "litellm.types.management_endpoints"
_MARK = "__routebalance__"
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")

NAMES: Mapping[str, tuple[str, ...]] = {
    _GROUPS: ("VALID_ROUTING_STRATEGIES",),
    _SELECTION: ("build_selector", "pick_async", "pick_sync"),
    f"{_SELECTION}:StrategySelectors": (
        "_register",
        "callback_selectors",
        "rebuild_default",
        "selector_for",
    ),
    _PREROUTING: ("_ASYNC_PICK_STRATEGIES", "_record_routing_decision"),
    _CORE: ("pick_async", "pick_sync"),
    f"{_CORE}:RustCore": (
        "__init__",
        "_apply_strategy",
        "_dynamic_document",
        "_routing_fields",
        "_strategy_inputs",
        "_usage_read_scope",
        "apply",
        "register_plugin",
        "retire",
        "settings_dict",
    ),
    f"{_CORE}:Resolved": ("static_document",),
    _DESCRIPTIONS: ("ROUTING_STRATEGY_DESCRIPTIONS",),
}
"""What must exist, by module or class. A release without one of them needs another host."""


class RustRouter:
    """The host of LiteLLM 1.110 and later."""

    limits: tuple[str, ...] = ()

    def install(self) -> None:
        """Wrap what picks. Idempotent.

        Raises:
            UnsupportedLiteLLM: naming the release and what it lacks.
        """
        if lacking := missing():
            raise UnsupportedLiteLLM(
                f"litellm {version('litellm')} is not supported: {', '.join(lacking)} is missing; "
                "the supported releases are in docs/litellm.md"
            )
        core, selection = import_module(_CORE), import_module(_SELECTION)
        rust, strategy_selectors = core.RustCore, selection.StrategySelectors
        if getattr(rust, _MARK, False):
            return
        groups: Any = import_module(_GROUPS)
        prerouting: Any = import_module(_PREROUTING)
        groups.VALID_ROUTING_STRATEGIES = (*groups.VALID_ROUTING_STRATEGIES, STRATEGY)
        prerouting._ASYNC_PICK_STRATEGIES = prerouting._ASYNC_PICK_STRATEGIES | {STRATEGY}
        _wrap_function(selection, "build_selector", selectors.build)
        wrap(strategy_selectors, "_register", selectors.register)
        wrap(strategy_selectors, "selector_for", selectors.selector_for)
        for module in (selection, core):
            _wrap_function(module, "pick_async", picks.pick_async)
            _wrap_function(module, "pick_sync", picks.pick_sync)
        wrap(rust, "__init__", selectors.construct)
        wrap(rust, "_strategy_inputs", picks.inputs)
        wrap(rust, "_usage_read_scope", picks.usage_read_scope)
        wrap(rust, "_routing_fields", names.renamed)
        # The outer one: what does not count is out before names are.
        wrap(rust, "_routing_fields", _own_fields)
        wrap(core.Resolved, "static_document", names.renamed)
        wrap(rust, "_apply_strategy", _announce_changes)
        wrap(rust, "register_plugin", _announce_replacement)
        wrap(rust, "apply", _update)
        wrap(rust, "settings_dict", _tell_arguments)
        wrap(rust, "_dynamic_document", _with_failover)
        wrap(rust, "retire", _retire)
        wrap(rust, "acompletion", followed_up)
        _offer_strategy()
        setattr(rust, _MARK, True)

    def strategies(self) -> Collection[str]:
        """See `Host`."""
        groups: Any = import_module(_GROUPS)
        return (*groups.VALID_ROUTING_STRATEGIES, PRIORITY)

    def strategy_of(self, router: Any) -> str | None:
        """See `Host`."""
        core = _core_of(router)
        return None if core is None else core._resolved.routing_strategy

    def our_groups(self, router: Any) -> Mapping[str, Collection[str]]:
        """See `Host`."""
        core = _core_of(router)
        return {} if core is None else _groups(core._resolved)

    async def cooldowns(self, router: Any, ids: list[str]) -> Mapping[str, Cooldown]:
        """See `Host`."""
        return cooldowns_of(await router.health().cooldowns.async_get_active_cooldowns(ids, None))

    async def filtered(
        self, router: Any, model: str, entries: list[dict[str, Any]], messages: Any, kwargs: dict[str, Any]
    ) -> list[str]:
        """See `Host`."""
        core = router.itself if isinstance(router, selectors.RouterView) else _core_of(router)
        left, _ = await core._opt.filter_deployments(model, entries, messages, kwargs)
        return [str(entry["model_info"]["id"]) for entry in left]

    def serves(self, router: Any, id: str) -> bool:
        """See `Host`."""
        return bool(router.registry().has_deployment(id))

    def selector_for(
        self, router: Any, model: object, request_kwargs: Mapping[str, Any]
    ) -> RouteBalanceSelector | None:
        """See `Host`."""
        core = _core_of(router)
        if core is None or not isinstance(model, str):
            return None
        return selectors.decider(core, model, request_kwargs)

    def record_decision(self, request_kwargs: dict[str, Any], decision: dict[str, Any]) -> None:
        """See `Host`."""
        import_module(_PREROUTING)._record_routing_decision(request_kwargs, decision)

    def subcall_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """See `Host`."""
        return metadata_of_subcall(metadata)

    def watch(self, router: Any) -> None:
        """Nothing is lost here without a call that is wrapped above."""


def missing() -> list[str]:
    """What this host needs and the installed LiteLLM lacks; empty where it fits."""
    lacking = []
    for place, wanted in NAMES.items():
        module, _, class_name = place.partition(":")
        try:
            owner: Any = import_module(module)
        except ImportError:
            lacking.append(module)
            continue
        owner = getattr(owner, class_name, None) if class_name else owner
        lacking += [f"{place}.{name}" for name in wanted if not hasattr(owner, name)]
    return lacking


def _core_of(router: Any) -> Any:
    """The core of a Router; None where it has none of this line."""
    rust = import_module(_CORE).RustCore
    core = router if isinstance(router, rust) else getattr(router, "_core", None)
    return core if isinstance(core, rust) else None


def _wrap_function(module: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace a module's function by `around(original, *args, **kwargs)`; a coroutine function stays one."""
    original = getattr(module, name)
    setattr(module, name, functools.wraps(original)(functools.partial(around, original)))


def _update(original: Callable[..., Any], core: Any, changes: Any) -> Any:
    if not changes.settings:
        return original(changes)

    def update(**settings: Any) -> Any:
        return original(replace(changes, settings=settings))

    return update_checked(update, core, dict(changes.settings), core._resolved.routing_strategy)


def _own_fields(
    original: Callable[..., Any], core: Any, request: Mapping[str, Any], *args: Any, **kwargs: Any
) -> Mapping[str, Any]:
    """What the core routes a request by, without a strategy that does not count.

    The core keeps it for all that becomes of the request, fallbacks to other models included.
    """
    if request.get(STRATEGY_FIELD) is not None and any(
        held(selector, request) for selector in _may_decide(core, request)
    ):
        request = {name: value for name, value in request.items() if name != STRATEGY_FIELD}
    return original(request, *args, **kwargs)  # type: ignore[no-any-return]


def _may_decide(core: Any, request: Mapping[str, Any]) -> list[RouteBalanceSelector]:
    """Our selectors that a request with a strategy of its own may come to.

    Our own name is resolved at each pick, so it needs none.
    """
    if is_ours(request[STRATEGY_FIELD]):
        return []
    falls_back = any(request.get(name) or getattr(core._resolved, name, None) for name in _FALLBACKS)
    if falls_back or named_by_body(request):
        return selectors.all_ours(core)
    own = selectors.ours(selectors.own_selector(core, str(request.get("model"))))
    return [] if own is None else [own]


def _tell_arguments(original: Callable[..., Any], core: Any) -> dict[str, Any]:
    settings = original()
    return {**settings, **settings_page.fields(settings)}


def _with_failover(original: Callable[..., Any], core: Any, model_names: Any) -> Mapping[str, Any]:
    return failover.document(original, core, model_names, _served)


def _served(core: Any) -> Callable[[str], bool]:
    """Whether a name, of a model group or a routing group, is routed by our strategy."""
    resolved = core._resolved
    strategies: dict[str, str] = {}
    for group in resolved.routing_groups:
        for name in (str(group.group_name), *group.models):
            strategies[name] = group.routing_strategy
    return lambda name: is_ours(strategies.get(name, resolved.routing_strategy))


def _retire(original: Callable[..., Any], core: Any) -> None:
    original()
    worker().left(core)


def _offer_strategy() -> None:
    import litellm

    settings_page.offer_strategy(import_module(_DESCRIPTIONS).ROUTING_STRATEGY_DESCRIPTIONS, litellm.Router)


def _announce_changes(
    original: Callable[..., Any], core: Any, previous: Any, resolved: Any, values: Any, **kwargs: Any
) -> None:
    original(previous, resolved, values, **kwargs)
    before, after = previous.routing_strategy, resolved.routing_strategy
    both = {"routing_groups", "routing_strategy_args"} <= set(values)
    changed = previous.routing_strategy_args != resolved.routing_strategy_args
    if both and changed and is_ours(after) and before == after:
        # New routing groups keep LiteLLM from seeing the strategy's new arguments beside them.
        core._selectors.rebuild_default(resolved.routing_strategy_args)
    if "routing_strategy" in values and before != after:
        strategy_changes.strategy_changed(before, str(after))
    if "routing_groups" in values:
        strategy_changes.groups_changed(set(_groups(previous)), set(_groups(resolved)))


def _groups(resolved: Any) -> dict[str, tuple[str, ...]]:
    """Routing groups with our strategy: their members by the group's name."""
    return {
        str(group.group_name): tuple(group.models)
        for group in resolved.routing_groups
        if is_ours(group.routing_strategy)
    }


def _announce_replacement(original: Callable[..., Any], core: Any, *args: Any, **kwargs: Any) -> Any:
    if is_ours(core._resolved.routing_strategy):
        strategy_changes.pick_replaced()
    return original(*args, **kwargs)
