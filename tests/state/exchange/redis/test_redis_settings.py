"""Which Redis is used, out of our settings, LiteLLM's, and the environment."""

import pytest
from redis.exceptions import RedisError

from rb_litellm.config import RedisSettingsArgs, SettingsError
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import connect


def resolve(litellm=None, env=None, **ours):
    return RedisSettings.resolve(RedisSettingsArgs(**ours), litellm or {}, env or {})


def test_nothing_set_up_means_memory_alone():
    assert resolve() is None


def test_switched_off_means_memory_alone():
    assert resolve({"redis_url": "redis://a"}, {"REDIS_URL": "redis://b"}, enabled=False) is None


def test_our_url_outranks_everything():
    found = resolve({"redis_url": "redis://a"}, {"REDIS_URL": "redis://b"}, url="redis://ours:1/2")
    assert found.url == "redis://ours:1/2"


def test_our_url_may_name_an_environment_variable():
    assert resolve(env={"GAUGES": "redis://there"}, url="os.environ/GAUGES").url == "redis://there"


@pytest.mark.parametrize("url", ["http://a", "localhost:6379", "os.environ/UNSET"])
def test_a_url_of_another_kind_is_refused_by_name_and_value(url):
    with pytest.raises(SettingsError, match=r"redis\.url.*redis://.*value"):
        resolve(url=url)


def test_a_refused_url_does_not_show_its_password():
    with pytest.raises(SettingsError) as refused:
        resolve(url="http://user:s3cret@host")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("password", ["s3cret/more", "s3cret#more", "s3cret?more"])
def test_a_password_that_breaks_the_url_is_shown_nowhere(password):
    # The part before it looks like a port, which the words of redis-py repeat.
    url = f"redis://:{password}@host:6379"
    with pytest.raises(SettingsError, match="%2F") as refused:
        resolve(url=url)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(RedisError, match="%2F") as broken:
        connect(resolve({"redis_url": url}))
    assert "s3cret" not in str(broken.value)


def test_interval_ttl_and_namespace_are_ours():
    found = resolve({"redis_url": "redis://a"}, interval_ms=500, ttl_s=9.0, namespace="blue")
    assert (found.interval_s, found.ttl_s, found.namespace) == (0.5, 9.0, "blue")


def test_litellms_router_settings():
    found = resolve({"redis_host": "h", "redis_port": "7000", "redis_password": "p", "redis_username": "u"})
    assert (found.host, found.port, found.password, found.username) == ("h", 7000, "p", "u")


def test_litellms_cache_parameters_and_kwargs():
    assert resolve({"type": "redis", "host": "h", "port": 7000}).port == 7000
    assert resolve({"redis_host": "h", "cache_kwargs": {"ssl": True, "db": 3}}).db == 3


def test_litellms_values_may_name_environment_variables():
    assert resolve({"redis_host": "os.environ/WHERE"}, {"WHERE": "there"}).host == "there"


def test_litellms_environment():
    assert resolve(env={"REDIS_URL": "redis://e"}).url == "redis://e"
    found = resolve(env={"REDIS_HOST": "h", "REDIS_PORT": "7000", "REDIS_SSL": "true", "REDIS_DB": "2"})
    assert (found.host, found.port, found.ssl, found.db) == ("h", 7000, True, 2)


@pytest.mark.parametrize(("said", "checked"), [("False", False), ("true", True), ("0", False)])
def test_the_environments_words_for_no_are_understood(said, checked):
    found = resolve(env={"REDIS_HOST": "h", "REDIS_SSL": "True", "REDIS_SSL_CHECK_HOSTNAME": said})
    client = connect(found)
    assert client.connection_pool.connection_kwargs["ssl_check_hostname"] is checked


def test_all_of_litellms_settings_of_authorities_are_taken():
    given = {"ssl_ca_path": "/etc/ssl/own", "ssl_ca_data": "PEM", "ssl_password": "p"}
    found = resolve({"redis_host": "h", "ssl": True, **given})
    used = connect(found).connection_pool.connection_kwargs
    assert {name: used[name] for name in given} == given
    assert "PEM" not in repr(found)


def test_a_host_in_the_settings_outranks_the_environments_url_but_keeps_its_password():
    found = resolve({"redis_host": "h"}, {"REDIS_URL": "redis://e", "REDIS_PASSWORD": "p"})
    assert (found.url, found.host, found.password) == (None, "h", "p")


def test_sentinel_and_cluster_nodes():
    sentinel = resolve({"sentinel_nodes": [["s", 26379]], "service_name": "main", "sentinel_password": "p"})
    assert (sentinel.sentinel_nodes, sentinel.service_name) == ((("s", 26379),), "main")
    cluster = resolve(env={"REDIS_CLUSTER_NODES": '[{"host": "c", "port": "7001"}]', "REDIS_PASSWORD": "p"})
    assert (cluster.cluster_nodes, cluster.password) == ((("c", 7001),), "p")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"redis_host": "h", "redis_port": "many"}, "port"),
        ({"startup_nodes": "not json"}, "startup_nodes"),
        ({"startup_nodes": [{"host": "c"}]}, "startup_nodes"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings, name):
    with pytest.raises(SettingsError, match=name):
        resolve(settings)


def test_what_is_shown_in_logs_has_no_secrets():
    for found in (
        resolve(url="rediss://user:s3cret@host:1/2"),
        resolve({"redis_host": "h", "redis_password": "s3cret"}),
        resolve(env={"REDIS_CLUSTER_NODES": '[["c", 1]]', "REDIS_PASSWORD": "s3cret"}),
    ):
        assert "s3cret" not in found.shown + repr(found).replace(str(found.url), "")
    assert resolve(url="rediss://user:s3cret@host:1/2").shown == "rediss://host:1/2"
