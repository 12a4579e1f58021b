"""A real Redis server for the tests that need one, shared, emptied before each."""

import pytest

from rb_litellm.bench.real.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_process():
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_process):
    with redis_process.client() as client:
        client.flushall()
    return redis_process
