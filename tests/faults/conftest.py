"""A real Redis behind a TCP proxy that misbehaves on demand; proxies are forked (see `tests.forked`)."""

import pytest

from rb_litellm.bench import conservation, outages
from rb_litellm.bench.real.fault_proxy import FaultProxy
from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import running_proxy


@pytest.fixture(scope="module", autouse=True)
def forked_proxies():
    with pytest.MonkeyPatch.context() as patch:
        for bench in (conservation, outages):
            patch.setattr(bench, "running_proxy", running_proxy)
        yield


@pytest.fixture(scope="module")
def redis_server():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def redis_proxy(redis_server):
    with FaultProxy(redis_server.port) as proxy:
        yield proxy
