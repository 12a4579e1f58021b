"""What only Redis can show: keys, round trips, logins, restarts and Cluster."""

import asyncio
import ssl
import time
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

import pytest
import redis

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.config import RedisSettingsArgs
from rb_litellm.core.grade_sums import HALF_LIFE_S, OF_ABILITIES, Grades, GradeSum
from rb_litellm.state.exchange.redis.settings import NEEDED_RIGHTS, RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from tests.state.state_samples import told


@pytest.fixture
async def store_of():
    made = []

    def make(url, **more):
        made.append(RedisStore(RedisSettings(url=url, **more)))
        return made[-1]

    yield make
    for store in made:
        await store.close()


async def exchange_twice(*stores):
    answers = []
    for _ in range(2):
        answers = [await store.exchange(f"w{i}", told(), 5.0, workers=True) for i, store in enumerate(stores)]
    return [[worker.name for worker in heard.workers] for heard in answers]


async def test_every_key_has_the_version_the_namespace_as_hash_tag_and_a_ttl(redis_server, store_of):
    await exchange_twice(store_of(redis_server.url, namespace="blue"))
    with redis_server.client() as client:
        keys = sorted(client.keys())
        parts = ("alive", "meta", "shares", "slots", "totals")
        assert keys == [f"rb:2:{{blue}}:{part}".encode() for part in parts]
        assert all(0 < client.pttl(key) <= 60_000 for key in keys)


async def test_what_a_worker_leaves_behind_is_not_heard_after_an_hour_either(redis_server, store_of):
    # Once an hour the totals are added up anew, and end where nobody has told anything further on.
    stays, goes = store_of(redis_server.url), store_of(redis_server.url)
    for _ in range(2):
        await goes.exchange("goes", told(3), 60.0)
        heard = await stays.exchange("stays", told(0), 60.0)
    assert heard.table[0].any()
    await goes.remove("goes")
    with redis_server.client() as client:
        epoch = int(client.hget("rb:2:{default}:meta", "epoch"))
        client.hset("rb:2:{default}:meta", "epoch", epoch - 3_600_001)
    heard = await stays.exchange("stays", told(0), 60.0)
    assert not heard.table.any()
    assert heard.peers == 0


async def test_two_fleets_share_one_redis_without_seeing_each_other(redis_server, store_of):
    blue, green = (store_of(redis_server.url, namespace=name) for name in ("blue", "green"))
    assert await exchange_twice(blue, green) == [[], []]


async def test_an_exchange_is_one_command_on_the_wire(redis_server, store_of):
    store, other = store_of(redis_server.url), store_of(redis_server.url)
    await exchange_twice(store, other)
    with redis_server.client() as client:
        before = client.info("commandstats")
        await store.exchange("w0", told(2), 5.0)
        after = client.info("commandstats")
    calls = {
        name: figures["calls"] - before.get(name, {"calls": 0})["calls"] for name, figures in after.items()
    }
    assert calls["cmdstat_evalsha"] == 1
    assert calls.get("cmdstat_eval", 0) == 0


async def test_a_server_that_forgot_the_script_is_sent_it_again(redis_server, store_of):
    store = store_of(redis_server.url)
    await store.exchange("w0", told(), 5.0)
    with redis_server.client() as client:
        client.script_flush()
    assert (await store.exchange("w0", told(), 5.0)).peers == 0


async def test_ages_come_from_the_servers_clock_alone(redis_server, store_of, monkeypatch):
    store, other = store_of(redis_server.url), store_of(redis_server.url)
    await exchange_twice(store, other)
    monkeypatch.setattr("time.time", lambda: 0.0)
    [worker] = (await store.exchange("w0", told(), 5.0, workers=True)).workers
    assert 0.0 <= worker.age_s < 2.0


@pytest.mark.parametrize("set_by_s", [-3600, -300, 2, 7200])
async def test_a_servers_clock_that_is_set_leaves_nobody_with_hours_to_write(
    redis_server, store_of, set_by_s
):
    # As by hand, or where a master fails over to a server whose clock differs.
    stores = [store_of(redis_server.url) for _ in range(2)]
    read = "local time = redis.call('TIME')"
    for script in (each for store in stores for each in (store._tell, store._take)):
        assert read in script._source
        script._source = script._source.replace(
            read, f"{read}\ntime[1] = time[1] + (redis.call('GET', 'set by') or 0)"
        )

    async def heard():
        return [(await store.exchange(f"w{i}", told(2), 60.0)).table[0] for i, store in enumerate(stores)]

    await heard()
    before = await heard()
    with redis_server.client() as client:
        client.set("set by", set_by_s)
    for _ in range(2):
        await heard()
    for (in_flight, _, decode, rate), (_, _, decode_before, _) in zip(await heard(), before, strict=True):
        assert (in_flight, rate) == (2, 100)
        assert decode == pytest.approx(decode_before, abs=50)


async def test_password_and_acl_user(store_of):
    with RedisServer("--requirepass", "s3cret") as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "routing", "on", ">pa55", *NEEDED_RIGHTS.split())
        for url in (server.url, f"redis://routing:pa55@127.0.0.1:{server.port}/0"):
            store = store_of(url)
            await store.exchange("w0", told(), 5.0)
            await store.share_learned({"d": b"figures"}, 10.0)
            await store.share_grades(Grades({}))
            await store.remove("w0")
        with pytest.raises(redis.AuthenticationError):
            await store_of(f"redis://:wrong@127.0.0.1:{server.port}/0").exchange("w0", told(), 5.0)


@pytest.fixture
def authority(tmp_path):
    """A certificate for 127.0.0.1 that signs itself: files of certificate and key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path / "certificate.pem", tmp_path / "key.pem"


@pytest.fixture
async def tls_port(redis_server, authority):
    """A port that speaks TLS and passes on to Redis, as servers built without TLS are run."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority)

    async def serve(reader, writer):
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", redis_server.port)

        async def pump(source, sink):
            while data := await source.read(65_536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_tls_by_url_and_by_litellms_settings(tls_port, authority):
    certificate = str(authority[0])
    by_url = RedisSettings(url=f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}")
    by_litellm = RedisSettings.resolve(
        RedisSettingsArgs(),
        {"redis_host": "127.0.0.1", "redis_port": tls_port, "ssl": True, "ssl_ca_certs": certificate},
        {},
    )
    stores = [RedisStore(settings) for settings in (by_url, by_litellm)]
    answers = await exchange_twice(*stores)
    for store in stores:
        await store.close()
    assert answers == [["w1"], ["w0"]]


async def test_a_certificate_that_nobody_vouches_for_is_refused(tls_port, store_of):
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        await store_of(f"rediss://127.0.0.1:{tls_port}/0").exchange("w0", told(), 5.0)


@pytest.fixture
def cluster():
    """One server that owns every slot of a cluster."""
    with RedisServer("--cluster-enabled", "yes") as server, server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        while b"cluster_state:ok" not in bytes(client.execute_command("CLUSTER", "INFO")):
            time.sleep(0.05)
        yield server


async def test_cluster_keeps_a_fleet_in_one_slot(cluster):
    settings = RedisSettings(cluster_nodes=(("127.0.0.1", cluster.port),))
    stores = [RedisStore(settings) for _ in range(2)]
    answers = await exchange_twice(*stores)
    seen = await stores[0].read()
    for store in stores:
        await store.close()
    assert answers == [["w1"], ["w0"]]
    assert {gauge.origin for gauge in seen.gauges} == {"w0", "w1"}


async def test_what_is_no_sum_of_grades_is_dropped_and_the_others_are_read(redis_server, store_of):
    store = store_of(redis_server.url)
    await store.share_grades(Grades({"code|small": GradeSum(2.0, 1.0, 1.5)}, {"call": 0.5}))
    with redis_server.client() as client:
        key = "rb:1:{default}:grade_sums"
        client.hset(
            key, mapping={"a": "no sum", "b": "0 nan nan nan", "c": "1e9 1e9 0 0", "d": b"\xff 1 1 1"}
        )
        client.hset("rb:1:{default}:grades", mapping={"x": "many", "y": "7"})
        answer = await store.share_grades(Grades())
        assert set(answer.sums) == {"code|small"}
        assert answer.unknown == {"call": 0.5}
        assert client.hlen(key) == 1
        assert client.pttl(key) > 0
        client.set(key, "a text")
    assert set((await store.share_grades(Grades({"code|small": GradeSum(2.0, 1.0, 1.5)}))).sums) == {
        "code|small"
    }


async def test_grades_that_the_release_before_leaves_and_takes_are_met_and_grow_old_too(
    redis_server, store_of
):
    store, rule = store_of(redis_server.url), OF_ABILITIES._replace(grades_ttl_s=0.2)
    with redis_server.client() as client:
        client.hset("rb:1:{default}:grades", mapping={"theirs": "1", "taken": "1"})
        assert (await store.share_grades(Grades(), rule)).unknown == {"theirs": 1.0, "taken": 1.0}
        client.hdel("rb:1:{default}:grades", "taken")
        assert (await store.share_grades(Grades(), rule)).unknown == {"theirs": 1.0}
        assert client.zrange("rb:1:{default}:grades_came", 0, -1) == [b"theirs"]
        await asyncio.sleep(0.25)
        assert not (await store.share_grades(Grades(), rule)).unknown
        client.set("rb:1:{default}:grades_came", "a text")
        client.set("rb:1:{default}:grade_exchanges", "a text")
    told = Grades({}, {"call": 0.5}, worker="w", number=1)
    assert (await store.share_grades(told, rule)).unknown == {"call": 0.5}


async def test_what_is_no_hash_in_the_place_of_what_was_learned_is_dropped(redis_server, store_of):
    # Else every tenth second an exchange would fail, for as long as it is there.
    store = store_of(redis_server.url)
    with redis_server.client() as client:
        client.set("rb:1:{default}:learned", "anything")
    assert await store.share_learned({"d": b"[3]"}, 60.0) == {"d": b"[3]"}


async def test_sums_of_grades_fade_by_the_servers_clock(redis_server, store_of):
    store = store_of(redis_server.url)
    with redis_server.client() as client:
        seconds, _ = client.time()
        before_ms = (seconds - HALF_LIFE_S) * 1000
        client.hset("rb:1:{default}:grade_sums", "code|small", f"{before_ms:.0f} 8 4 6")
    answer = await store.share_grades(Grades({"code|small": GradeSum(1.0, 1.0, 1.0)}))
    assert answer.sums["code|small"] == pytest.approx(GradeSum(5.0, 3.0, 4.0), rel=1e-3)
