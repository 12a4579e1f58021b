"""The ways in which a Redis can fail, each switched on and off while it is in use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import get_args

import redis

from rb_litellm.bench.real.fault_proxy import Fault, FaultProxy
from rb_litellm.bench.real.redis_server import RedisServer

SERVER_FAULTS = ("flushed", "restarted", "out-of-memory", "read-only", "wrong-password")
"""flushed: all keys go. restarted: the server is killed and starts empty. read-only: it becomes a replica of
nobody. wrong-password: it asks for one that its clients do not have, and drops their connections."""
WIRE_FAULTS = tuple(fault for fault in get_args(Fault) if fault != "none")
FAULTS = (*WIRE_FAULTS, *SERVER_FAULTS)


@contextlib.contextmanager
def injected(fault: str, server: RedisServer, proxy: FaultProxy) -> Iterator[None]:
    """Have the fault for the length of the block; `server` is reached by its users through `proxy`."""
    if fault in WIRE_FAULTS:
        proxy.set(fault)  # type: ignore[arg-type]
        try:
            yield
        finally:
            proxy.set("none")
        return
    with server.client() as client:
        if fault == "flushed":
            client.flushall()
            client.script_flush()
            yield
        elif fault == "restarted":
            server.stop()
            server.start()
            yield
        elif fault == "out-of-memory":
            with _configured(client, "maxmemory", "1"):
                yield
        elif fault == "read-only":
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            try:
                yield
            finally:
                client.execute_command("REPLICAOF", "NO", "ONE")
        elif fault == "wrong-password":
            with _configured(client, "requirepass", "another"):
                client.execute_command("AUTH", "another")
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                yield
        else:
            raise ValueError(f"fault is {fault!r}; allowed are {', '.join(FAULTS)}")


@contextlib.contextmanager
def _configured(client: redis.Redis, name: str, value: str) -> Iterator[None]:
    before = str(client.config_get(name)[name])
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)
