"""LiteLLM's public kind of routing strategy: it is asked for every pick of a router and answers all of them.

It asks LiteLLM in turn for the candidates that its filters leave, so cooldowns, tags, budgets and access
hold. What is not ours to decide it shuffles by weight, as LiteLLM's simple-shuffle does.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import random
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litellm.types.router import CustomRoutingStrategyBase

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector

_log = logging.getLogger("rb_litellm")

Entry = dict[str, Any]
"""One deployment as LiteLLM holds it: model_name, litellm_params, model_info."""


@dataclass(slots=True)
class Probe:
    """A pick that is only to tell whether LiteLLM still asks us."""

    answered: bool = False


probing: ContextVar[Probe | None] = ContextVar("routebalance_probe", default=None)
_handing_back: ContextVar[bool] = ContextVar("routebalance_handing_back", default=False)


class Plugin(CustomRoutingStrategyBase):  # type: ignore[misc]
    """Picks for one router.

    `selector_of` says who decides a model name, None: not RouteBalance. `may_pick` is asked before every
    pick: where it says no, LiteLLM is to pick as if there were no plugin.
    """

    def __init__(
        self,
        router: Any,
        selector_of: Callable[[str], RouteBalanceSelector | None],
        may_pick: Callable[[], bool],
    ) -> None:
        self._router = router
        self._selector_of = selector_of
        self._may_pick = may_pick
        self._hook = _pre_routing_hook(router)
        self._random = random.Random()

    async def async_get_available_deployment(
        self,
        model: str,
        messages: Any = None,
        input: Any = None,
        specific_deployment: bool | None = False,
        request_kwargs: Any = None,
    ) -> Any:
        """The deployment for one request.

        Raises:
            Exception: LiteLLM's own where its filters leave nothing; those of `RouteBalanceSelector.select`.
        """
        if (probe := probing.get()) is not None:
            probe.answered = True
            return dict(self._router.model_list[0])
        request = _mutable(request_kwargs)
        if not self._may_pick() and not _handing_back.get():
            return await self._litellms_pick(model, request, messages, input, specific_deployment)
        model = await self._pre_routed(model, request, messages, input, specific_deployment)
        found = await self._healthy(model, request, messages, input, specific_deployment)
        if isinstance(found, Mapping):
            return found  # Named by its id: there is nothing to choose.
        selector = self._selector_of(model)
        if selector is None:
            return self._shuffled(found)
        try:
            return await selector.select(model, found, messages, input, request)
        except Exception as error:  # noqa: BLE001  the request is routed all the same
            return self._by_simple_rule(selector, found, error)

    def get_available_deployment(
        self,
        model: str,
        messages: Any = None,
        input: Any = None,
        specific_deployment: bool | None = False,
        request_kwargs: Any = None,
    ) -> Any:
        """The same for LiteLLM's synchronous calls, which run no pre-routing hooks."""
        request = _mutable(request_kwargs)
        if not self._may_pick():
            return _run(self._litellms_pick(model, request, messages, input, specific_deployment))
        found = _run(self._healthy(model, request, messages, input, specific_deployment))
        if isinstance(found, Mapping):
            return found
        selector = self._selector_of(model)
        if selector is None:
            return self._shuffled(found)
        try:
            return selector.select_now(model, found, messages, input, request)
        except Exception as error:  # noqa: BLE001  the request is routed all the same
            return self._by_simple_rule(selector, found, error)

    async def _pre_routed(
        self, model: str, request: dict[str, Any], messages: Any, input: Any, specific: bool | None
    ) -> str:
        """The model group that LiteLLM's auto routers choose; without any, the one that was asked for."""
        if self._hook is None:
            return model
        answer = await self._hook(
            model, request, messages=messages, input=input, specific_deployment=specific
        )
        return str(getattr(answer, "model", None) or model)

    async def _litellms_pick(
        self, model: str, request: dict[str, Any], messages: Any, input: Any, specific: bool | None
    ) -> Any:
        # LiteLLM may still ask us, if the plugin could not be taken back: then the pick goes on here.
        token = _handing_back.set(True)
        try:
            return await self._router.select(
                model, request, kind="pick", messages=messages, input=input, specific_deployment=specific
            )
        finally:
            _handing_back.reset(token)

    async def _healthy(
        self, model: str, request: dict[str, Any], messages: Any, input: Any, specific: bool | None
    ) -> Any:
        found = await self._router.select(
            model, request, kind="healthy", messages=messages, input=input, specific_deployment=specific
        )
        if not found:
            # LiteLLM says so itself; an empty list must not become an error of another kind.
            raise _nothing_left(model)
        return found

    def _by_simple_rule(
        self, selector: RouteBalanceSelector, found: Sequence[Entry], error: Exception
    ) -> Entry:
        # Refusals are meant for the client; and whoever may not call a member must not be sent to one.
        if hasattr(error, "routebalance_refusal") or selector.settings.member_access == "key":
            raise error
        _log.error("RouteBalance: a pick failed; a healthy deployment was drawn by weight", exc_info=error)
        return self._shuffled(found)

    def _shuffled(self, found: Sequence[Entry]) -> Entry:
        """One of the candidates by LiteLLM's rule: by weight if any has one, else by rpm, else by tpm."""
        for unit in ("weight", "rpm", "tpm"):
            shares = [_share(entry, unit) for entry in found]
            if any(shares):
                return self._random.choices(found, shares)[0]
        return self._random.choice(found)


def _share(entry: Entry, unit: str) -> float:
    value = (entry.get("litellm_params") or {}).get(unit)
    return float(value) if isinstance(value, (int, float)) and value > 0 else 0.0


def _mutable(request_kwargs: Any) -> dict[str, Any]:
    # LiteLLM's own dictionary where it gives one: the callbacks read what is written into it.
    return request_kwargs if isinstance(request_kwargs, dict) else dict(request_kwargs or {})


def has_pre_routing_hook() -> bool:
    """Whether a plugin can ask LiteLLM's auto routers, which come before a pick and which it replaces."""
    return hasattr(_context(), "pre_routing_hook")


def _pre_routing_hook(router: Any) -> Callable[..., Any] | None:
    return _context()(router).pre_routing_hook if has_pre_routing_hook() else None


def _context() -> Any:
    try:
        from litellm.router_api import RoutingContext
    except ImportError:
        return None
    return RoutingContext


def _nothing_left(model: str) -> Exception:
    import litellm

    error: Exception = litellm.RateLimitError(
        f"No deployments available for selected model {model}", llm_provider="", model=model
    )
    return error


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Wait, in a thread that may itself run an event loop, for what needs one."""
    return asyncio.run_coroutine_threadsafe(work, _loop(os.getpid())).result()


@functools.cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    # One per process: a fork does not carry its parent's threads over.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="routebalance-picks", daemon=True).start()
    return loop
