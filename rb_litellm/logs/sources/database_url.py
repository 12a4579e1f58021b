"""URLs of LiteLLM's database, which are Prisma's, as the driver takes them.

LiteLLM's `DATABASE_URL` is written for Prisma; the driver here is libpq. Everything that both know goes
through as it stands, and so does what libpq alone knows. Of Prisma's own parameters those that say where and
how to connect are translated, those that size its pool are dropped, and one that libpq cannot honour is an
error: never is a demand for encryption forgotten.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from rb_litellm.logs.rows import SpendLogsError
from rb_litellm.redaction import shown_address

_POOL = (
    "connection_limit", "pool_timeout", "pgbouncer", "statement_cache_size", "socket_timeout",
    "max_connection_lifetime", "max_idle_connection_lifetime", "single_use_connections",
)  # fmt: skip
"""Prisma's own, about its pool of connections and what stands before it."""
SCHEMES = ("postgresql://", "postgres://")
ENCRYPTED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where to connect."""

    conninfo: str
    """As libpq takes it."""
    schema: str | None
    """Where the table stands; None for the search path of the connection."""
    encrypted: bool
    """The URL demands TLS."""


def translated(url: str) -> DatabaseUrl:
    """The URL for libpq.

    Raises:
        SpendLogsError: a parameter that cannot be honoured; says what is allowed instead.
    """
    place, _, query = url.partition("?")
    given: list[tuple[str, str]] = []
    for part in filter(None, query.partition("#")[0].split("&")):
        name, _, value = part.partition("=")
        given.append((unquote(name), unquote(value)))
    told = dict(given)
    if told.get("sslidentity"):
        raise SpendLogsError(
            f"{shown_url(url)}: sslidentity is a PKCS #12 file, which the driver cannot read; "
            "allowed are sslcert and sslkey, as PEM files"
        )
    schema = told.pop("schema", None) or None
    for name in _POOL:
        told.pop(name, None)
    told.pop("sslpassword", None) if "sslkey" not in told else None
    _translate_certificates(told, url)
    if told.get("connect_timeout") == "0":
        told.pop("connect_timeout")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in told.items())
    return DatabaseUrl(f"{place}?{query}" if query else place, schema, told.get("sslmode") in ENCRYPTED)


def _translate_certificates(told: dict[str, str], url: str) -> None:
    accept = told.pop("sslaccept", None)
    if accept not in (None, "strict", "accept_invalid_certs"):
        raise SpendLogsError(
            f"{shown_url(url)}: sslaccept is {accept!r}; allowed are strict and accept_invalid_certs"
        )
    # To Prisma `sslcert` is what signed the server's certificate, to libpq the client's own, which needs a
    # key.
    if "sslcert" in told and "sslkey" not in told:
        told["sslrootcert"] = told.pop("sslcert")
    if accept == "strict":
        if told.get("sslmode") == "disable":
            raise SpendLogsError(f"{shown_url(url)}: sslmode=disable contradicts sslaccept=strict")
        told["sslmode"] = "verify-full"
    if told.get("sslmode") in ("verify-ca", "verify-full") and not _own_authorities():
        # Where libpq has no authorities of its own the system's count, as they do for Prisma.
        told.setdefault("sslrootcert", "system")
    if told.get("sslrootcert") == "system" and told.get("sslmode") == "verify-ca":
        told["sslmode"] = "verify-full"  # libpq's rule, and the stricter


def _own_authorities() -> bool:
    return "PGSSLROOTCERT" in os.environ or Path("~/.postgresql/root.crt").expanduser().exists()


def shown_url(url: str) -> str:
    """The URL without user, password and parameters."""
    return shown_address(url)


def shown_source(source: str) -> str:
    """A source of logs as it may be told: a file's name, or a URL without user, password and parameters."""
    return shown_url(source) if source.startswith(SCHEMES) else source


def without_secrets(message: str, url: str) -> str:
    """A driver's message, unless it repeats a part of the URL's user or password."""
    rest = url.partition("://")[2]
    user = rest.rpartition("@")[0]
    secret = user.partition(":")[2]
    pieces = [secret, unquote(secret), *secret.replace("@", "/").replace(":", "/").split("/")]
    query = [part.partition("=")[2] for part in rest.partition("?")[2].split("&") if "password" in part]
    pieces += [*query, *map(unquote, query)]
    if any(len(piece) > 2 and piece in message for piece in pieces):
        return "the URL cannot be read; write special characters of its user and password as %40 and the like"
    return message
