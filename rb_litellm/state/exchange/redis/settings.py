"""Which Redis to use and how: our own `redis.url`, or the one that LiteLLM is set up with.

LiteLLM takes Redis settings from its router and cache settings (`redis_host`, ...) and from the environment
(`REDIS_URL`, `REDIS_HOST`, ...), with lists of nodes for Sentinel and Cluster. The same places are read here,
in LiteLLM's order: a target in the settings outranks `REDIS_URL`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.connection import parse_url

from rb_litellm.config import RedisSettingsArgs, SettingsError
from rb_litellm.redaction import shown_address

TIMEOUT_S = 1.0
"""Timeout of one answer from the server. No request waits for it."""

NEEDED_RIGHTS = "~rb:* +@read +@write +@scripting +time +select"
"""What the server's user must be permitted to, as its ACL writes it;"""
CLUSTER_RIGHTS = " +cluster +command"
"""and in a cluster, besides."""

_SCHEMES = ("redis", "rediss", "unix")
_NAMES = (
    "url",
    "host",
    "port",
    "db",
    "username",
    "password",
    "ssl",
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_ca_data",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "startup_nodes",
    "sentinel_nodes",
    "sentinel_password",
    "service_name",
)
_FROM_ENVIRONMENT = {
    **{f"REDIS_{name.upper()}": name for name in _NAMES if name != "startup_nodes"},
    "REDIS_CLUSTER_NODES": "startup_nodes",
}
_SSL_OPTIONS = tuple(name for name in _NAMES if name.startswith("ssl_"))


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """A Redis, and the namespace and interval of the exchange there."""

    url: str | None = field(default=None, repr=False)
    """redis://, rediss:// or unix://; outranks host and port."""
    host: str | None = None
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl: bool = False
    ssl_options: tuple[tuple[str, Any], ...] = field(default=(), repr=False)
    """redis-py's own, by its names: authorities, certificate and key, and what is checked."""
    cluster_nodes: tuple[tuple[str, int], ...] = ()
    sentinel_nodes: tuple[tuple[str, int], ...] = ()
    sentinel_password: str | None = field(default=None, repr=False)
    service_name: str | None = None
    namespace: str = "default"
    interval_s: float = 0.2
    ttl_s: float = 5.0
    timeout_s: float = TIMEOUT_S

    @property
    def shown(self) -> str:
        """Its address for logs, without user and password."""
        if self.cluster_nodes:
            return "cluster " + ", ".join(f"{host}:{port}" for host, port in self.cluster_nodes)
        if self.sentinel_nodes:
            nodes = ", ".join(f"{host}:{port}" for host, port in self.sentinel_nodes)
            return f"sentinel {self.service_name} at {nodes}"
        if self.url is not None:
            return shown_address(self.url)
        return f"{'rediss' if self.ssl else 'redis'}://{self.host}:{self.port}/{self.db}"

    @classmethod
    def resolve(
        cls, args: RedisSettingsArgs, litellm_params: Mapping[str, Any], env: Mapping[str, str]
    ) -> RedisSettings | None:
        """The Redis to use, or None where none is set up or `redis.enabled` is false.

        `litellm_params` holds LiteLLM's router settings (`redis_url`, `redis_host`, ..., `cache_kwargs`)
        or its cache parameters (`host`, ...); `env` the environment.

        Raises:
            SettingsError: a setting that names the Redis cannot be understood.
        """
        if not args.enabled:
            return None
        ours: dict[str, Any] = {
            "namespace": args.namespace,
            "interval_s": args.interval_ms / 1000.0,
            "ttl_s": args.ttl_s,
        }
        if args.url is not None:
            return cls(url=checked_url(args.url, env), **ours)
        found = _litellm_settings(litellm_params, env)
        if found.get("startup_nodes"):
            return cls(cluster_nodes=_nodes("startup_nodes", found["startup_nodes"]), **_login(found), **ours)
        if found.get("sentinel_nodes") and found.get("service_name"):
            return cls(
                sentinel_nodes=_nodes("sentinel_nodes", found["sentinel_nodes"]),
                sentinel_password=_text(found.get("sentinel_password")),
                service_name=str(found["service_name"]),
                **_login(found),
                **ours,
            )
        if found.get("url"):
            return cls(url=str(found["url"]), **ours)
        if found.get("host"):
            return cls(
                host=str(found["host"]), port=_whole("port", found.get("port", 6379)), **_login(found), **ours
            )
        return None


def checked_url(told: str, env: Mapping[str, str], where: str = "routing_strategy_args") -> str:
    """The URL that `redis.url` names, itself or by a variable of the environment.

    Raises:
        SettingsError: redis-py cannot read it. Nothing of a password is repeated.
    """
    url = _from_environment(told, env)
    if isinstance(url, str) and url.partition("://")[0] in _SCHEMES:
        try:
            parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError:
            pass
        else:
            return url
    raise SettingsError(
        f"{where}.redis.url: allowed is a redis://, rediss:// or unix:// URL, in whose user and password "
        f"@ / ? # are written %40 %2F %3F %23 (value {shown_address(told)!r})"
    )


def _litellm_settings(params: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for source in (params.get("cache_kwargs"), params):
        if isinstance(source, Mapping):
            for name in _NAMES:
                for spelled in (name, f"redis_{name}"):
                    value = _from_environment(source.get(spelled), env)
                    if value not in (None, ""):
                        given[name] = value
    around = {name: env[key] for key, name in _FROM_ENVIRONMENT.items() if env.get(key)}
    if "url" not in given and any(name in given for name in ("host", "startup_nodes", "sentinel_nodes")):
        around.pop("url", None)
    return {**around, **given}


def _from_environment(value: Any, env: Mapping[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("os.environ/"):
        return env.get(value.removeprefix("os.environ/"))
    return value


def _login(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "db": _whole("db", found.get("db", 0)),
        "username": _text(found.get("username")),
        "password": _text(found.get("password")),
        "ssl": _is_true(found.get("ssl", False)),
        "ssl_options": tuple(
            # The environment has words only, and redis-py takes any word for True.
            (name, _is_true(found[name]) if name == "ssl_check_hostname" else found[name])
            for name in _SSL_OPTIONS
            if name in found
        ),
    }


def _is_true(value: Any) -> bool:
    """As LiteLLM reads it."""
    return str(value).lower() in ("1", "true", "yes")


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise SettingsError(
            f"LiteLLM's Redis setting {name}: allowed is a whole number (value {value!r})"
        ) from None


def _nodes(name: str, value: Any) -> tuple[tuple[str, int], ...]:
    try:
        items = json.loads(value) if isinstance(value, str) else value
        nodes = tuple(
            (str(item["host"]), int(item["port"]))
            if isinstance(item, Mapping)
            else (str(item[0]), int(item[1]))
            for item in items
        )
        if nodes:
            return nodes
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    raise SettingsError(
        f"LiteLLM's Redis setting {name}: allowed is a list of nodes with host and port "
        f"(value: a {type(value).__name__}, which may hold passwords)"
    )
