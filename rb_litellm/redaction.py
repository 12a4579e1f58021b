"""Addresses and texts as they may be shown: without user, password, query and control characters."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_SHOWN = 200
HIDDEN = "(hidden: an @ in a user, password, path or query is written %40)"
"""Where nobody can tell a password from a path."""
_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s'\"]*@")
_QUERY = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?#'\"]*)[?#][^\s'\"]*")


def shown_address(url: str) -> str:
    """The address for a log line or a page; users, passwords and queries may be secrets."""
    scheme, found, rest = url.rpartition("://")
    place, _, path = rest.partition("/")
    # A password with a slash, `?` or `#` that is not encoded looks like a path or a query.
    if "@" in path or "@" in place.partition("?")[2] or "@" in place.partition("#")[2]:
        return f"{scheme.partition('://')[0]}://{HIDDEN}" if found else HIDDEN
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(an address that cannot be read)"
    if not parts.scheme or not found:
        return one_line(rest.partition("?")[0].partition("#")[0].rpartition("@")[2])
    return one_line(f"{parts.scheme}://{host}{parts.path}")


def without_secrets(text: str) -> str:
    """A text, an error's for one, whose addresses have no user, password and query."""
    return _QUERY.sub(r"\1?...", _LOGIN.sub(r"\1", text))


def one_line(text: str) -> str:
    """The beginning of a text, with what is not printed written out."""
    short = text[:MAX_SHOWN]
    return (
        short if short.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in short)
    )
