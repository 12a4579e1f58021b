"""How our selectors come into a Router of LiteLLM's Rust line, and how they find that Router again.

LiteLLM builds every selector (of the router, of a routing group, of a request that brings its own strategy)
by one function of a strategy's name, its arguments and the router's cache. In shadow mode LiteLLM gets the
selector of its own strategy from it, as if that one were configured, and ours looks over its shoulder.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from rb_litellm.litellm_adapter.build_selector import build_selector
from rb_litellm.litellm_adapter.hosts.held_strategies import held
from rb_litellm.litellm_adapter.hosts.host import STRATEGY, is_ours
from rb_litellm.litellm_adapter.request.rights.own_strategy import STRATEGY_FIELD
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector
from rb_litellm.litellm_adapter.worker import worker

_CORE = "routebalance_core"
"""Where a router's cache keeps the way back to the router's core."""
_WATCHER = "routebalance_watcher"
"""Where a selector of LiteLLM's keeps ours that watches it in shadow mode."""

_under_construction: ContextVar[Any] = ContextVar("routebalance_core", default=None)


class RouterView:
    """A Router as our selectors know it: its deployments and its cache, and all else that it has.

    A selector is built before its Router is, and the worker keeps what a selector was built for: so this
    looks the Router up when asked, and keeps none alive.
    """

    def __init__(self, core: Any) -> None:
        self._core = weakref.ref(core)

    @property
    def model_list(self) -> Sequence[dict[str, Any]]:
        """Entries of all deployments; none before there is a Router and after."""
        hosted = getattr(self._core(), "__dict__", {}).get("_hosted")
        return getattr(hosted, "_core_model_list", None) or ()

    @property
    def cache(self) -> Any:
        """The cache that LiteLLM keeps the Router's state in."""
        return getattr(self._core(), "__dict__", {}).get("_cache")

    @property
    def itself(self) -> Any:
        """The Router behind this view."""
        return self._core()

    @property
    def default_max_parallel_requests(self) -> Any:
        """How many requests at once a deployment may have that states nothing itself."""
        endpoints = getattr(self._core(), "__dict__", {}).get("_endpoints")
        return getattr(endpoints, "default_max_parallel_requests", None)

    def __getattr__(self, name: str) -> Any:
        core = self._core()
        # While a core is built, it looks for its own settings in what is not there yet.
        if core is None or "_endpoints" not in core.__dict__:
            raise AttributeError(name)
        owner = core.__dict__.get("_core_owner")
        return getattr((owner() if owner is not None else None) or core, name)


def ours(selector: object) -> RouteBalanceSelector | None:
    """Our selector, as itself or behind the one of LiteLLM's that it watches; None if there is none."""
    if isinstance(selector, RouteBalanceSelector):
        return selector
    return getattr(selector, _WATCHER, None)


def construct(original: Callable[..., Any], core: Any, *args: Any, **kwargs: Any) -> None:
    """A core is built: its selectors come first, and its deployments, which they must know, after them."""
    mark = _under_construction.set(core)
    try:
        original(*args, **kwargs)
    finally:
        _under_construction.reset(mark)
    for selector in all_ours(core):
        worker().adopt(selector.settings, RouterView(core))


def build(
    original: Callable[..., Any],
    strategy: str | None,
    args: Mapping[str, Any],
    cache: Any,
    *rest: Any,
    **kwargs: Any,
) -> Any:
    """The selector for a strategy with these arguments; None where LiteLLM's core picks by itself.

    Raises:
        SettingsError: a setting of ours is wrong, or one of a deployment.
        PredictorError: the predictor folder is missing, corrupt or of another version.
    """
    constructed = _under_construction.get()
    if constructed is not None:
        setattr(cache, _CORE, weakref.ref(constructed))
    if not is_ours(strategy):
        return original(strategy, args, cache, *rest, **kwargs)
    core = getattr(cache, _CORE, _nobody)()
    if core is None:
        raise RuntimeError("a selector was asked for without a Router")
    if constructed is not None:
        worker().runtime.catalog.check(core._config.get("model_list") or ())
    selector = build_selector(RouterView(core), args)
    if selector.settings.mode != "shadow":
        return selector
    base = original(selector.settings.base_strategy, {}, cache, *rest, **kwargs)
    if base is None:
        return selector
    setattr(base, _WATCHER, selector)
    return base


def own_selector(core: Any, model: str) -> Any:
    """The selector of a model's group or router, whatever a request brings; ours or another."""
    strategy, scope, group = core._handle.routing_context(model, None)
    return core._selectors.selector_for(strategy, scope, group, None)


def all_ours(core: Any) -> list[RouteBalanceSelector]:
    """Our selectors of a router and its routing groups."""
    found = (ours(selector) for selector in core._selectors.callback_selectors())
    return [selector for selector in found if selector is not None]


def register(original: Callable[..., Any], _: Any, selector: Any) -> None:
    """LiteLLM makes each selector a callback of all requests; ours has nothing to hear there."""
    if not isinstance(selector, RouteBalanceSelector):
        original(selector)


def selector_for(
    original: Callable[..., Any],
    selectors: Any,
    strategy: str,
    scope: str,
    group: str | None,
    request: Mapping[str, Any] | None,
) -> Any:
    """The selector that LiteLLM's core asks for, by the name that `names` has told it for ours."""
    if (scope == "override" and is_ours((request or {}).get("routing_strategy"))) or (
        scope == "default" and is_ours(selectors._strategy)
    ):
        strategy = STRATEGY
    return original(strategy, scope, group, request)


def decider(core: Any, model: str, request: Mapping[str, Any]) -> RouteBalanceSelector | None:
    """Our selector that will decide a request for this model name; None where another strategy will."""
    override = request.get(STRATEGY_FIELD)
    own = ours(own_selector(core, model))
    if override is None or held(own, request):
        return own
    if is_ours(override):
        return ours(core._selectors.selector_for(STRATEGY, "override", None, None))
    strategy, scope, group = core._handle.routing_context(
        model, override if isinstance(override, str) else None
    )
    return ours(core._selectors.selector_for(strategy, scope, group, None))


def _nobody() -> None:
    return None
