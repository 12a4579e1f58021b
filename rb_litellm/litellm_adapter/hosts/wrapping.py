"""Put a function of ours around a function of LiteLLM's, which stays what it was to whoever inspects it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from rb_litellm.litellm_adapter.hosts.host import UnsupportedLiteLLM


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace method `name` of a class by `around(original, self, *args, **kwargs)`.

    `original` is bound to `self`.

    Raises:
        UnsupportedLiteLLM: there is no method of this name.
    """
    original = inspect.getattr_static(owner, name, None)
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

    setattr(owner, name, wrapped)
