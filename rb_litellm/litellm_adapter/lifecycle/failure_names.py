"""The name by which a failure of LiteLLM's is told on: its class, or that no connection was made.

LiteLLM makes an `InternalServerError` of a server that answers 500 and of one that refuses the connection
alike. What it was made of stands in the chain of causes.
"""

from __future__ import annotations

_REFUSED = frozenset({"ConnectError", "ConnectionRefusedError", "ClientConnectorError"})
"""Classes of httpx, Python and aiohttp."""
_WRAPPED = frozenset({"InternalServerError", "APIConnectionError", "ServiceUnavailableError"})
"""What LiteLLM makes of them. Behind other errors may stand that of an attempt before them."""
_DEPTH = 8
"""Causes that are looked at."""


def failure_name(failure: BaseException) -> str:
    """The class name of an exception; `ConnectError` where a refused connection stands behind it."""
    name = type(failure).__name__
    cause: BaseException | None = failure if name in _WRAPPED else None
    for _ in range(_DEPTH):
        if cause is None:
            break
        if type(cause).__name__ in _REFUSED:
            return "ConnectError"
        cause = cause.__cause__ or cause.__context__
    return name
