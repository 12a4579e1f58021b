"""An address as it may be shown: without user, password, query and control characters."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_SHOWN = 200
_IN_TEXT = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@'\"]*@")
_QUERY = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?#'\"]*)\?[^\s'\"]*")


def shown_address(url: str) -> str:
    """The address for a log line or a page; users, passwords and queries may be secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(an address that cannot be read)"
    text = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else host + parts.path
    return one_line(text)


def without_secrets(text: str) -> str:
    """A text, an error's for one, whose addresses are as `shown_address` shows them."""
    return one_line(_QUERY.sub(r"\1?...", _IN_TEXT.sub(r"\1", text)))


def one_line(text: str) -> str:
    """The beginning of a text, with what is not printed written out."""
    short = text[:MAX_SHOWN]
    return (
        short if short.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in short)
    )


def server_at(api_base: str) -> str | None:
    """The server behind an `api_base`, in one way of writing: host, port, path before `/v1`."""
    try:
        parts = urlsplit(api_base)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    if host in ("localhost", "::1"):
        host = "127.0.0.1"
    path = re.sub(r"/v\d+/?$", "", parts.path).rstrip("/")
    return f"{host}:{port or (443 if parts.scheme == 'https' else 80)}{path}"
