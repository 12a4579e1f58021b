"""A real Redis Cluster with three masters: a fleet stands in one slot, and outlives its master."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import redis

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from tests.state.fleet_of_stores import heard, heard_again, until

SLOTS = 16384
OPTIONS = (
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "1000",
    "--cluster-replica-validity-factor",
    "0",
)
FLEET = "rb:2:{default}"


def sees(server, nodes):
    with server.client() as client:
        info = bytes(client.execute_command("CLUSTER", "INFO"))
    return b"cluster_state:ok" in info and f"cluster_known_nodes:{nodes}".encode() in info


@pytest.fixture
def cluster():
    """Three masters with a third of the slots each, and a replica of the one that has the fleet's slot."""
    with ExitStack() as stack:
        servers = [stack.enter_context(RedisServer(*OPTIONS)) for _ in range(4)]
        *masters, replica = servers
        for number, server in enumerate(servers):
            with server.client() as client:
                if server is not replica:
                    first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3
                    client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last))
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", str(servers[0].port))
        until(lambda: all(sees(server, 4) for server in masters))
        with servers[0].client() as client:
            slot = int(client.execute_command("CLUSTER", "KEYSLOT", FLEET))
        owner = masters[slot * 3 // SLOTS]
        with owner.client() as client:
            name = client.execute_command("CLUSTER", "MYID")
        with replica.client() as client:
            until(lambda: replicates(client, name))
            until(lambda: client.info("replication").get("master_link_status") == "up")
        yield servers, owner


def replicates(client, name):
    try:
        client.execute_command("CLUSTER", "REPLICATE", name)
    except redis.ResponseError:
        return False
    return True


@pytest.fixture
async def stores(cluster):
    nodes = tuple(("127.0.0.1", server.port) for server in cluster[0])
    made = [RedisStore(RedisSettings(cluster_nodes=nodes, timeout_s=2.0)) for _ in range(2)]
    yield made
    for store in made:
        await store.close()


@pytest.mark.slow
async def test_a_fleet_stands_in_one_slot_and_outlives_its_master(cluster, stores):
    _, owner = cluster
    for _ in range(2):
        before = await heard(stores)
    assert before == [10, 1]
    with owner.client() as client:
        assert {key.decode().partition("}")[0] for key in client.scan_iter()} == {"rb:2:{default"}
        assert client.wait(1, 5000) == 1
    owner.stop()
    # What the replica has is enough: nobody has to tell all of it again, and nothing counts twice.
    assert await heard_again(stores) == [10, 1]
