"""What the end-to-end tests run on: a Redis server and mock vLLM servers, for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Servers, running_servers


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running_servers(tmp_path_factory.mktemp("servers"), count=5) as running:
        yield running
