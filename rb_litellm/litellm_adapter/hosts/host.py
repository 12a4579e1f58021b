"""What the rest of the adapter may ask of the LiteLLM that it runs in.

A host is one way into a LiteLLM Router: one file of this folder for each line of releases. It holds the
private names of that line, and nobody else asks which release it is. This file imports nothing of the
adapter, so that any part of it may import this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rb_litellm.controls import Planner

STRATEGY = "routebalance"
"""The strategy's name in LiteLLM's settings."""
PRIORITY = "priority"
"""LiteLLM's strategy for routing groups alone; its groups may share their models with others."""
KEY_WEIGHTS = "_router_weights"
"""Where LiteLLM leaves a key's or team's weights in a request, in every supported release."""


class UnsupportedLiteLLM(RuntimeError):
    """The installed LiteLLM lacks something that the strategy is built on, or must not be used."""


class Selector(Protocol):
    """Whoever decides a request: a router's own strategy, or that of a routing group."""

    planner: Planner


@dataclass(frozen=True, slots=True)
class Cooldown:
    """A deployment that LiteLLM keeps out for a while, because it failed."""

    until_s: float
    """Seconds since 1970."""
    status: str
    """HTTP status of the failure; empty where it is not known."""


def cooldowns_of(active: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Cooldown]:
    """LiteLLM's list of active cooldowns by deployment id."""
    return {
        id_: Cooldown(
            float(value["timestamp"]) + float(value["cooldown_time"]), str(value.get("status_code") or "")
        )
        for id_, value in active
    }


class Host(Protocol):
    """One way into a LiteLLM Router."""

    limits: tuple[str, ...]
    """What cannot work through this host, one plain sentence each; empty where all works."""

    def install(self) -> None:
        """Make the strategy known to every Router of this process. Idempotent.

        Raises:
            UnsupportedLiteLLM: naming the release and what it lacks.
        """

    def strategies(self) -> Collection[str]:
        """Every name that LiteLLM takes for a strategy, ours among them; empty where that is not known."""

    def strategy_of(self, router: Any) -> str | None:
        """The strategy that a Router serves its models with where no routing group says otherwise."""

    def our_groups(self, router: Any) -> Mapping[str, Collection[str]]:
        """A Router's routing groups with our strategy: their member model groups by the group's name."""

    async def cooldowns(self, router: Any, ids: list[str]) -> Mapping[str, Cooldown]:
        """Those of the deployments that LiteLLM keeps out now; may wait for Redis."""

    async def filtered(
        self, router: Any, model: str, entries: list[dict[str, Any]], messages: Any, kwargs: dict[str, Any]
    ) -> list[str]:
        """Ids of those that LiteLLM's callbacks let a request go to now, budgets among them.

        May wait for Redis.

        Raises:
            Whatever a callback raises, as ValueError where all budgets are spent: the client's answer.
        """

    def serves(self, router: Any, id: str) -> bool:
        """Whether a Router has this deployment now. Cheap."""

    def selector_for(self, router: Any, model: object, request_kwargs: Mapping[str, Any]) -> Selector | None:
        """Our selector that will decide a request for this model name; None where another strategy will."""

    def record_decision(self, request_kwargs: dict[str, Any], decision: dict[str, Any]) -> None:
        """Leave a decision in a request's metadata as LiteLLM's own auto routers do; the last one stays."""

    def subcall_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of a request for a further call on its behalf, which its key pays, too."""

    def watch(self, router: Any) -> None:
        """Look after a Router; called every other second in each worker."""


_installed: list[Host] = []


def set_current(host: Host) -> None:
    """Make this the host of the process."""
    _installed[:] = [host]


def current() -> Host:
    """The host of this process.

    Raises:
        RuntimeError: none was installed; `rb_litellm.register()` does that.
    """
    if not _installed:
        raise RuntimeError("rb_litellm.register() was not called")
    return _installed[0]


def known_strategies() -> Collection[str]:
    """Every name that LiteLLM takes for a strategy; empty where that is not known."""
    return _installed[0].strategies() if _installed else ()


def is_ours(strategy: object) -> bool:
    """Whether a strategy, by name or as LiteLLM's enumeration, is RouteBalance."""
    return getattr(strategy, "value", strategy) == STRATEGY


def routed_by_us(router: Any) -> frozenset[str | None]:
    """Model names that a Router serves with our strategy; None: all that no routing group claims."""
    host = current()
    models: set[str | None] = {model for members in host.our_groups(router).values() for model in members}
    if is_ours(host.strategy_of(router)):
        models.add(None)
    return frozenset(models)
