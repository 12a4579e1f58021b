"""A real Redis behind a TCP proxy that misbehaves on demand."""

import pytest

from rb_litellm.bench.real.fault_proxy import FaultProxy
from rb_litellm.bench.real.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def redis_proxy(redis_server):
    with FaultProxy(redis_server.port) as proxy:
        yield proxy
