"""Which server is behind an address: deployments with the same one share its load and slots."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


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
