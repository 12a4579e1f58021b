"""What the rest of the adapter may ask of the LiteLLM that it runs in.

A host is one way into a LiteLLM Router: one file of this folder for each line of releases. It holds the
private names of that line, and nobody else asks which release it is. This file imports nothing of the
adapter, so that any part of it may import this one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rb_litellm.controls import Planner

STRATEGY = "routebalance"
"""The strategy's name in LiteLLM's settings."""
KEY_WEIGHTS = "_router_weights"
"""Where LiteLLM leaves a key's or team's weights in a request, in every supported release."""


class UnsupportedLiteLLM(RuntimeError):
    """The installed LiteLLM lacks something that the strategy is built on, or must not be used."""


class Selector(Protocol):
    """Whoever decides a request: a router's own strategy, or that of a routing group."""

    planner: Planner


class Host(Protocol):
    """One way into a LiteLLM Router."""

    limits: tuple[str, ...]
    """What cannot work through this host, one plain sentence each; empty where all works."""

    def install(self) -> None:
        """Make the strategy known to every Router of this process. Idempotent.

        Raises:
            UnsupportedLiteLLM: naming the release and what it lacks.
        """

    def strategy_of(self, router: Any) -> str | None:
        """The strategy that a Router serves its models with where no routing group says otherwise."""

    def our_groups(self, router: Any) -> Mapping[str, Collection[str]]:
        """A Router's routing groups with our strategy: their member model groups by the group's name."""

    def selector_for(self, router: Any, model: object, request_kwargs: Mapping[str, Any]) -> Selector | None:
        """Our selector that will decide a request for this model name; None where another strategy will."""

    def record_decision(self, request_kwargs: dict[str, Any], decision: dict[str, Any]) -> None:
        """Leave a decision in a request's metadata as LiteLLM's own auto routers do; the last one stays."""

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
