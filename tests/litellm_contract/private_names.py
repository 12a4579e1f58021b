"""Private names of the installed LiteLLM, as far as the contract itself must touch some."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from rb_litellm.litellm_adapter.hosts import python_router, rust_router
from rb_litellm.litellm_adapter.hosts.host import current

Place = tuple[Any, str]
"""Who has a name, and the name."""


def is_rust() -> bool:
    """Whether the host of this process is that of the Rust line."""
    return isinstance(current(), rust_router.RustRouter)


def marked() -> Place:
    """Where the host notes that it is installed."""
    owner = import_module(rust_router._CORE).RustCore if is_rust() else python_router.routing_class()
    return owner, "__routebalance__"


def needed() -> Iterator[Place]:
    """All that the host needs."""
    if not is_rust():
        yield from ((python_router.routing_class(), name) for name in python_router.NAMES)
        return
    for place, names in rust_router.NAMES.items():
        module, _, class_name = place.partition(":")
        owner = import_module(module)
        yield from ((getattr(owner, class_name) if class_name else owner, name) for name in names)


def record() -> Place:
    """How LiteLLM's auto routers leave their decision in a request's metadata."""
    if is_rust():
        return import_module(rust_router._PREROUTING), "_record_routing_decision"
    return python_router.routing_class(), python_router.RECORD


def pre_routing_hook() -> Place:
    """Where LiteLLM's auto routers choose a model group, and clear the decision of the last attempt."""
    if is_rust():
        return import_module(rust_router._PREROUTING).PreRouter, "pre_route"
    core = python_router.routing_class()
    names = ("_core_async_pre_routing_hook", "async_pre_routing_hook")
    return core, next(name for name in names if hasattr(core, name))


def strategies_module() -> Any:
    """The module that knows the strategies' names."""
    return python_router.groups_module()
