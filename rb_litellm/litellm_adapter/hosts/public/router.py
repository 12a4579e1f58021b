"""One Router that RouteBalance serves through LiteLLM's public entry points, and its settings while it runs.

LiteLLM drops a plugin without a word when a router's strategy changes, and does not bring it back when the
strategy does. So every change of settings is looked at on its way in, and every so often LiteLLM is asked for
a pick of which we only look whether it reaches us.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from rb_litellm.litellm_adapter.build_selector import build_selector
from rb_litellm.litellm_adapter.hosts.host import STRATEGY
from rb_litellm.litellm_adapter.hosts.public.plugin import Plugin, Probe, has_pre_routing_hook, probing
from rb_litellm.litellm_adapter.hosts.public.settings import (
    STAND_IN,
    Args,
    Wanted,
    strategy_name,
    take_out_change,
)
from rb_litellm.litellm_adapter.hosts.settings import changes as strategy_changes
from rb_litellm.litellm_adapter.hosts.settings.check import update_checked
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector

_PLACE = "routebalance_served"
"""Where a Router keeps this object: it shall live as long as the Router."""
_log = logging.getLogger("rb_litellm")


class ServedRouter:
    """Holds the plugin, the selectors and what is wanted of one Router."""

    def __init__(self, router: Any, wanted: Wanted) -> None:
        """Take the router over as wanted.

        Raises:
            SettingsError, PredictorError: a setting of ours is wrong.
        """
        self.router = router
        self.wanted = wanted
        self.in_force = False
        """Whether LiteLLM has our plugin, as far as we know."""
        self._selectors: dict[str | None, tuple[Args | None, RouteBalanceSelector]] = {}
        self._plugin = Plugin(router, self.selector_of, self._may_pick)
        self._register = router.register_plugin
        self._apply = getattr(router, "apply", None)
        self._changing = False
        self._told: set[str] = set()
        self._probe: asyncio.Task[None] | None = None
        self._build_selectors()
        vars(router)[_PLACE] = self
        self._guard("apply", self._on_apply)
        self._guard("update_settings", self._on_update)
        self._guard("register_plugin", self._on_register)
        self._settle()

    @staticmethod
    def of(router: object) -> ServedRouter | None:
        """The one of this Router, if RouteBalance was asked for in its settings."""
        found = getattr(router, "__dict__", {}).get(_PLACE)
        return found if isinstance(found, ServedRouter) else None

    def selector_of(self, model: str) -> RouteBalanceSelector | None:
        """Who decides a request for this model name; None where it is not ours."""
        if not self.in_force:
            return None
        name = self._resolved(model)
        group = self.wanted.group_of(name)
        if group is not None:
            held = self._selectors.get(group.name) if group.ours else None
        else:
            held = self._selectors.get(None)
        return None if held is None else held[1]

    def watch(self) -> None:
        """See whether the plugin is still in force, and put that right. Cheap; returns at once."""
        if self._unsafe() is not None or not self.in_force:
            self._settle()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._probe is None or self._probe.done():
            self._probe = loop.create_task(self._look())

    # Settings that change

    def _on_apply(self, original: Callable[..., Any], changes: Any, *args: Any, **kwargs: Any) -> Any:
        given = getattr(changes, "settings", None)
        if self._changing or not given or not is_dataclass(changes) or isinstance(changes, type):
            return original(changes, *args, **kwargs)
        return self._change(given, lambda left: original(replace(changes, settings=left), *args, **kwargs))

    def _on_update(self, original: Callable[..., Any], **settings: Any) -> Any:
        if self._changing:
            return original(**settings)
        return self._change(settings, lambda left: original(**left))

    def _on_register(self, original: Callable[..., Any], plugin: Any, *args: Any, **kwargs: Any) -> Any:
        if plugin is not self._plugin and self.in_force:
            self.in_force = False
            self.wanted = Wanted(strategy=self.wanted.strategy)
            strategy_changes.pick_replaced()
        return original(plugin, *args, **kwargs)

    def _change(self, settings: Mapping[str, Any], apply: Callable[[dict[str, Any]], Any]) -> Any:
        """Let an update through without those of our settings that are wrong."""
        strategy = STRATEGY if self.wanted.ours else self.wanted.strategy
        return update_checked(
            lambda **right: self._change_to(right, apply), self.router, dict(settings), strategy
        )

    def _change_to(self, settings: dict[str, Any], apply: Callable[[dict[str, Any]], Any]) -> Any:
        left, after = take_out_change(settings, self.wanted)
        self._say_if_kept(settings, after)
        self._changing = True
        try:
            result = apply(left)
        finally:
            self._changing = False
            if self.in_force:
                # Whatever LiteLLM has done to the plugin; once more does no harm.
                self._register(self._plugin)
        self._take(after)
        return result

    def _say_if_kept(self, settings: Mapping[str, Any], after: Wanted) -> None:
        named = strategy_name(settings.get("routing_strategy"))
        if after.ours and named == after.strategy:
            self._say_once(
                f"RouteBalance stays: {named} in changed settings is LiteLLM's own word for it here. To end "
                "it, choose another strategy, or take routebalance out of the configuration and restart."
            )

    def _take(self, after: Wanted) -> None:
        before, self.wanted = self.wanted, after
        if before.ours != after.ours:
            strategy_changes.strategy_changed(
                STRATEGY if before.ours else before.strategy, STRATEGY if after.ours else after.strategy
            )
        strategy_changes.groups_changed(set(before.our_groups), set(after.our_groups))
        self._build_selectors()
        self._settle()

    # The plugin

    def _settle(self) -> None:
        """Register the plugin, or take it back, as is wanted and safe."""
        reason = self._unsafe()
        if reason is not None and self.wanted.anything:
            self._say_once(f"RouteBalance does not route: {reason}", logging.ERROR)
        for name in self.wanted.shadows:
            self._say_once(
                f"RouteBalance does not watch: shadow mode ({name}) cannot ask LiteLLM's strategies through "
                "public entry points; the base strategy serves",
                logging.ERROR,
            )
        if self.wanted.anything and reason is None:
            if self.wanted.shuffled:
                self._say_once(
                    "RouteBalance: LiteLLM lets one plugin pick for a whole router, so simple-shuffle serves "
                    f"in the place of: {', '.join(self.wanted.shuffled)}",
                    logging.ERROR,
                )
            self._register(self._plugin)
            self.in_force = True
        elif self.in_force:
            self.in_force = False
            self._take_back()

    def _take_back(self) -> None:
        """Have LiteLLM drop the plugin, as it does when the strategy changes: to another one and back."""
        other = "least-busy" if self.wanted.strategy != "least-busy" else STAND_IN
        try:
            from litellm.router_api import ChangeSet

            self._changing = True
            for name in (other, self.wanted.strategy):
                self._apply(ChangeSet(settings={"routing_strategy": name}))  # type: ignore[misc]
        except Exception:  # noqa: BLE001  it goes on shuffling what is not ours
            _log.exception("RouteBalance: the plugin cannot be taken back; it shuffles until a restart")
        finally:
            self._changing = False

    def _unsafe(self) -> str | None:
        """Why our plugin must not pick here, where LiteLLM would do something before a pick that it skips."""
        try:
            plugins = self._policy_plugins()
        except Exception as error:  # noqa: BLE001  what cannot be ruled out counts as there
            return f"LiteLLM does not say whether router_settings.plugins are in force ({error})"
        if plugins:
            return (
                "router_settings.plugins is set, and a plugin strategy would bypass these policy plugins. "
                f"LiteLLM's {self.wanted.strategy} serves, and the policy holds."
            )
        if not has_pre_routing_hook() and any(map(_is_auto_router, self.router.model_list)):
            return (
                "there are auto routers (auto_router/...), and this LiteLLM release does not let a plugin "
                f"strategy ask them. LiteLLM's {self.wanted.strategy} serves."
            )
        return None

    def _may_pick(self) -> bool:
        """Whether a pick may be made; where policy plugins have come meanwhile, ours is taken back first."""
        if not self._policy_plugins():
            return True
        self._settle()
        return False

    def _policy_plugins(self) -> bool:
        return bool(self.router.registry().plugins(kind="routing"))

    async def _look(self) -> None:
        """Ask for a pick; where it does not reach us, the plugin was dropped."""
        probe = Probe()
        token = probing.set(probe)
        try:
            entries = self.router.model_list
            if not entries:
                return
            await self.router.select(str(entries[0]["model_name"]), {}, kind="pick")
        except Exception:  # noqa: BLE001  with no deployment left LiteLLM may not come as far as asking
            return
        finally:
            probing.reset(token)
        if probe.answered or not self.in_force:
            return
        now = strategy_name(self.router.settings().routing_strategy) or STAND_IN
        if now in (STRATEGY, self.wanted.strategy):
            _log.error("RouteBalance: LiteLLM had dropped the plugin; it is registered again")
            self._settle()
        else:
            self._take(replace(self.wanted, ours=False, args=None, strategy=now))

    # Small things

    def _build_selectors(self) -> None:
        """Selectors for what is ours; those whose arguments stayed as they were are kept."""
        wanted: dict[str | None, Args | None] = {
            g.name: g.args for g in self.wanted.groups.values() if g.ours
        }
        if self.wanted.ours:
            wanted[None] = self.wanted.args
        held = self._selectors
        self._selectors = {
            name: held[name]
            if name in held and held[name][0] == args
            else (args, build_selector(self.router, args))
            for name, args in wanted.items()
        }

    def _resolved(self, model: str) -> str:
        try:
            return str(self.router.registry().resolve(model, kind="alias") or model)
        except Exception:  # noqa: BLE001  a name that LiteLLM does not know decides by itself
            return model

    def _say_once(self, message: str, level: int = logging.WARNING) -> None:
        if message not in self._told:
            self._told.add(message)
            _log.log(level, message)

    def _guard(self, name: str, around: Callable[..., Any]) -> None:
        """Have a public method of this one Router go through us. What cannot be replaced is only watched."""
        original = getattr(self.router, name, None)
        if original is None:
            return
        try:
            setattr(self.router, name, functools.wraps(original)(functools.partial(around, original)))
        except (AttributeError, TypeError):
            _log.warning(
                "RouteBalance: LiteLLM's %s cannot be seen; its effects are noticed seconds later", name
            )


def _is_auto_router(entry: Any) -> bool:
    params = entry.get("litellm_params") if isinstance(entry, Mapping) else None
    return isinstance(params, Mapping) and str(params.get("model", "")).startswith("auto_router/")
