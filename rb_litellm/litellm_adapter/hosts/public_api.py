"""Any LiteLLM release, by its public entry points alone: for those that nobody has tried yet.

Used are `litellm.Router` (its constructors), `Router.register_plugin`, `select(kind="healthy")`, `apply`,
`settings` and `registry`, and `RoutingContext.pre_routing_hook`. Such a release does not know our
strategy's name; it is taken out of a Router's settings before LiteLLM reads them, and a plugin is registered.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Collection, Mapping
from dataclasses import is_dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rb_litellm.litellm_adapter.hosts.host import STRATEGY, Cooldown, UnsupportedLiteLLM, cooldowns_of
from rb_litellm.litellm_adapter.hosts.public.router import ServedRouter
from rb_litellm.litellm_adapter.hosts.public.settings import Wanted, strategy_name, take_out
from rb_litellm.litellm_adapter.hosts.subcalls import metadata_of_subcall

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector

_MARK = "__routebalance_public__"
_NEEDED = ("register_plugin", "select", "settings", "registry")
_log = logging.getLogger("rb_litellm")


class PublicApi:
    """The host of releases that have no file of their own, or have lost a private name that theirs needs."""

    limits: tuple[str, ...] = (
        "While RouteBalance serves anything on a router, simple-shuffle serves its models and routing groups "
        "that have another strategy.",
        "A strategy that a key, a team or a request brings is ignored, be it RouteBalance or another.",
        "With policy plugins (router_settings.plugins) RouteBalance does not route at all, so that the "
        "policy holds.",
        "Shadow mode records nothing; its base strategy serves.",
        "Every request is answered once, whatever `cascade` says.",
        "Behind an auto router, the litellm_params of its tiers and the fallbacks of the group that it "
        "chose do not apply.",
        "A retry does not go on to deployments of the next `order` before those of the first cool down.",
        "The Admin UI's Router Settings show simple-shuffle in the place of RouteBalance, do not offer "
        "RouteBalance, and cannot replace it by simple-shuffle.",
    )

    def __init__(self) -> None:
        self._warned = False

    def install(self) -> None:
        """Have every Router of this process read `routing_strategy: routebalance` by way of us. Idempotent.

        Raises:
            UnsupportedLiteLLM: naming the public entry points that are missing.
        """
        import litellm

        router: Any = litellm.Router
        if getattr(router.__init__, _MARK, False):
            return
        if lacking := missing():
            raise UnsupportedLiteLLM(
                f"litellm {version('litellm')} is not supported: its Router lacks {', '.join(lacking)}; "
                "the supported releases are in docs/litellm.md"
            )
        self._wrap_constructor(router)
        if inspect.ismethod(getattr(router, "from_config", None)):
            self._wrap_from_config(router)

    def strategies(self) -> Collection[str]:
        """See `Host`: a release that nobody has seen may know others."""
        return ()

    def strategy_of(self, router: Any) -> str | None:
        """See `Host`; LiteLLM's own where RouteBalance was wanted and may not pick."""
        served = ServedRouter.of(router)
        if served is not None and served.in_force and served.wanted.ours:
            return STRATEGY
        read = getattr(router, "settings", None)
        return None if read is None else strategy_name(read().routing_strategy)

    def our_groups(self, router: Any) -> Mapping[str, Collection[str]]:
        """See `Host`."""
        served = ServedRouter.of(router)
        return served.wanted.our_groups if served is not None and served.in_force else {}

    async def cooldowns(self, router: Any, ids: list[str]) -> Mapping[str, Cooldown]:
        """See `Host`."""
        return cooldowns_of(await router.health().cooldowns.async_get_active_cooldowns(ids, None))

    async def filtered(
        self, router: Any, model: str, entries: list[dict[str, Any]], messages: Any, kwargs: dict[str, Any]
    ) -> list[str]:
        """See `Host`."""
        import litellm
        from litellm.integrations.custom_logger import CustomLogger

        left = entries
        for callback in litellm.callbacks:
            if isinstance(callback, CustomLogger):
                left = await callback.async_filter_deployments(model, left, messages, kwargs, None)
        return [str(entry["model_info"]["id"]) for entry in left]

    def serves(self, router: Any, id: str) -> bool:
        """See `Host`."""
        return bool(router.registry().has_deployment(id))

    def selector_for(
        self, router: Any, model: object, request_kwargs: Mapping[str, Any]
    ) -> RouteBalanceSelector | None:
        """See `Host`."""
        served = ServedRouter.of(router)
        return served.selector_of(model) if served is not None and isinstance(model, str) else None

    def record_decision(self, request_kwargs: dict[str, Any], decision: dict[str, Any]) -> None:
        """See `Host`."""
        bucket = "litellm_metadata" if "litellm_metadata" in request_kwargs else "metadata"
        metadata = request_kwargs.setdefault(bucket, {})
        if isinstance(metadata, dict):
            metadata["routing_decision"] = decision

    def subcall_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """See `Host`."""
        return metadata_of_subcall(metadata)

    def watch(self, router: Any) -> None:
        """Notice that LiteLLM has dropped the plugin, and register it again or say that it is gone."""
        served = ServedRouter.of(router)
        if served is not None:
            served.watch()

    def _serve(self, router: Any, wanted: Wanted) -> None:
        if not wanted.anything and not wanted.shadows:
            return
        if not self._warned:
            self._warned = True
            _log.warning(
                "RouteBalance serves LiteLLM %s through its public entry points alone. What cannot work "
                "this way:\n%s",
                version("litellm"),
                "\n".join(f"- {limit}" for limit in self.limits),
            )
        ServedRouter(router, wanted)

    def _wrap_constructor(self, router: Any) -> None:
        original = router.__init__

        @functools.wraps(original)
        def constructed(this: Any, *args: Any, **kwargs: Any) -> None:
            left, wanted = take_out(kwargs)
            original(this, *args, **(left if wanted.anything or wanted.shadows else kwargs))
            self._serve(this, wanted)

        setattr(constructed, _MARK, True)
        router.__init__ = constructed

    def _wrap_from_config(self, router: Any) -> None:
        original = router.from_config.__func__

        @functools.wraps(original)
        def constructed(cls: Any, config: Any, *args: Any, **kwargs: Any) -> Any:
            arguments = getattr(config, "arguments", None)
            if not isinstance(arguments, Mapping) or not is_dataclass(config) or isinstance(config, type):
                return original(cls, config, *args, **kwargs)
            left, wanted = take_out(arguments)
            if wanted.anything or wanted.shadows:
                config = replace(config, arguments=left)
            made = original(cls, config, *args, **kwargs)
            self._serve(made, wanted)
            return made

        router.from_config = classmethod(constructed)


def has_entry_points() -> bool:
    """Whether the installed LiteLLM has the public entry points that this host needs."""
    return not missing()


def missing() -> list[str]:
    """What this host needs and the installed LiteLLM lacks; empty where it fits."""
    import litellm

    router: Any = litellm.Router
    lacking = [name for name in _NEEDED if not callable(getattr(router, name, None))]
    if not lacking and "kind" not in inspect.signature(router.select).parameters:
        lacking = ["select(kind=...)"]
    return lacking
