"""A real Sentinel before a master and its replica: a fleet finds its master, and the next one."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from tests.state.fleet_of_stores import heard, heard_again, until

CONFIGURATION = """\
sentinel monitor fleet 127.0.0.1 {port} 1
sentinel down-after-milliseconds fleet 500
sentinel failover-timeout fleet 3000
"""


def replication(server):
    with server.client() as client:
        return client.info("replication")


def process_of(server):
    with server.client() as client:
        return client.info("server")["process_id"]


@pytest.fixture
def watched(tmp_path):
    """A master, its replica and the Sentinel that knows both."""
    with ExitStack() as stack:
        master, replica = (stack.enter_context(RedisServer()) for _ in range(2))
        with replica.client() as client:
            client.replicaof("127.0.0.1", master.port)
        until(lambda: replication(replica).get("master_link_status") == "up")
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(CONFIGURATION.format(port=master.port))
        sentinel = stack.enter_context(RedisServer(sentinel_file=configuration))
        with sentinel.client() as client:
            until(lambda: len(client.sentinel_slaves("fleet")) == 1)
        yield master, replica, sentinel


@pytest.fixture
async def stores(watched):
    settings = RedisSettings(
        sentinel_nodes=(("127.0.0.1", watched[2].port),), service_name="fleet", timeout_s=1.0
    )
    made = [RedisStore(settings) for _ in range(2)]
    yield made
    for store in made:
        await store.close()


async def test_sentinel_leads_to_the_master(watched, stores):
    # A busy machine may keep the master silent for the half second after which Sentinel names none.
    await heard_again(stores)
    with watched[0].client() as client:
        assert client.hexists("rb:2:{default}:shares", "w0")


@pytest.mark.slow
async def test_a_fleet_outlives_its_master(watched, stores):
    master, replica, _ = watched
    for _ in range(2):
        before = await heard(stores)
    assert before == [10, 1]
    with master.client() as client:
        assert client.wait(1, 5000) == 1
    master.stop()
    # What the replica has is enough: nobody has to tell all of it again, and nothing counts twice.
    assert await heard_again(stores) == [10, 1]
    assert replication(replica)["role"] == "master"


@pytest.mark.slow
async def test_a_master_that_hangs_is_left_and_its_return_changes_nothing(watched, stores):
    master, replica, sentinel = watched
    for _ in range(2):
        await heard(stores)
    with master.client() as client:
        assert client.wait(1, 5000) == 1
    process = process_of(master)
    os.kill(process, signal.SIGSTOP)
    try:
        assert await heard_again(stores) == [10, 1]
    finally:
        os.kill(process, signal.SIGCONT)
    until(lambda: replication(master)["role"] == "slave")
    with sentinel.client() as client:
        assert client.sentinel_get_master_addr_by_name("fleet")[1] == replica.port
    assert await heard_again(stores) == [10, 1]
    with replica.client() as client:
        assert set(client.hkeys("rb:2:{default}:shares")) == {b"w0", b"w1"}
