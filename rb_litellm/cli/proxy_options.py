"""`--url` and `--key`: which running proxy a command asks, and as whom; the same for every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

DEFAULT_URL = "http://localhost:4000"
URL_VARIABLE = "LITELLM_PROXY_URL"
KEY_VARIABLE = "LITELLM_MASTER_KEY"
_F = TypeVar("_F", bound=Callable[..., Any])


def proxy_options(key_help: str, required: bool = False) -> Callable[[_F], _F]:
    """`--url`, without a / at its end, and `--key`."""

    def add(command: _F) -> _F:
        key = key_option(envvar=KEY_VARIABLE, show_envvar=True, required=required, help=key_help)
        return url_option(default=DEFAULT_URL, show_default=True)(key(command))

    return add


def key_option(**options: Any) -> Callable[[_F], _F]:
    """`--key` alone: one that a header can carry. Of one that it cannot, the value is not shown."""
    return click.option("--key", callback=_checked, **options)


def can_be_sent(key: str) -> bool:
    """Whether a header can carry it; a file with Windows' line ends leaves a \\r behind its keys."""
    return key.isascii() and key.isprintable()


def _checked(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value and not can_be_sent(value):
        raise click.BadParameter("has characters that no key has; allowed is visible ASCII")
    return value


def url_option(**options: Any) -> Callable[[_F], _F]:
    """`--url` alone."""
    return click.option(
        "--url",
        envvar=URL_VARIABLE,
        show_envvar=True,
        callback=lambda _context, _option, value: value if value is None else value.rstrip("/"),
        help="Ask the running proxy at this address.",
        **options,
    )
