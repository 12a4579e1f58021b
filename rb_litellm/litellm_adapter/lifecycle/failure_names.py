"""The name by which a failure of LiteLLM's is told on: its class, or what the class hides.

LiteLLM makes an `InternalServerError` of a server that answers 500 and of one that refuses the connection
alike, and an `APIConnectionError` of a request that it could not translate for any server. What it was made
of stands in the chain of causes.
"""

from __future__ import annotations

_REFUSED = frozenset({"ConnectError", "ConnectionRefusedError", "ClientConnectorError"})
"""Classes of httpx, Python and aiohttp."""
_WRAPPED = frozenset({"InternalServerError", "APIConnectionError", "ServiceUnavailableError"})
"""What LiteLLM makes of them. Behind other errors may stand that of an attempt before them."""
CONNECTION = "APIConnectionError"
"""What LiteLLM makes of whatever it has no other word for: a connection, an answer, a request."""
NOT_SENT = "NotSent"
"""The request could not be translated: messages that are no messages, a response format that is none."""
_DEPTH = 8
"""Causes that are looked at."""


def failure_name(failure: BaseException) -> str:
    """The class name of an exception; `ConnectError` where a refused connection stands behind it.

    `NOT_SENT` where LiteLLM's own code has failed. That may have been on the request or on the answer:
    whoever knows that the server was asked takes it for `CONNECTION`.
    """
    name = type(failure).__name__
    if name == CONNECTION and _is_of_code(failure.__cause__ or failure.__context__):
        return NOT_SENT
    cause: BaseException | None = failure if name in _WRAPPED else None
    for _ in range(_DEPTH):
        if cause is None:
            break
        if type(cause).__name__ in _REFUSED:
            return "ConnectError"
        cause = cause.__cause__ or cause.__context__
    return name


def _is_of_code(cause: BaseException | None) -> bool:
    """Whether this is a mistake in a value (`TypeError`, `KeyError`, ...), and not one of the network."""
    of_python = type(cause).__module__ == "builtins" and not isinstance(cause, OSError)
    return cause is not None and of_python and type(cause) is not Exception
