"""`routebalance state` against a real Redis."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import GaugePublisher
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from tests.state.state_samples import prediction


@pytest.fixture(autouse=True)
def no_redis_in_the_environment(monkeypatch):
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fleet(redis_server):
    """Two workers in namespace blue: w1 with two attempts on a, w2 with one on a and one on b."""

    async def publish():
        for name, open_on in (("w1", "aa"), ("w2", "ab")):
            index = DeploymentIndex()
            ledger = Ledger(index, LeaseRule())
            for number, deployment in enumerate(open_on):
                key = AttemptKey(str(number), 0)
                ledger.open(key, deployment, now=0.0, input_tokens=100, prediction=prediction())
            store = RedisStore(RedisSettings(url=redis_server.url, namespace="blue"))
            publisher = GaugePublisher(
                index, ledger, Peers(index), store, ttl_s=60.0, origin=name, clock=lambda: 0.0
            )
            assert await publisher.step()
            await store.close()

    asyncio.run(publish())
    return redis_server


def run(*arguments):
    return CliRunner().invoke(main, ["state", *arguments])


def test_json_lists_workers_and_totals_per_deployment(fleet):
    result = run("--redis", fleet.url, "--namespace", "blue", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert [(w["name"], w["in_flight"]) for w in document["workers"]] == [("w1", 2), ("w2", 2)]
    assert all(0.0 <= w["age_s"] < 60.0 for w in document["workers"])
    assert document["deployments"] == [
        {
            "name": name,
            "in_flight": count,
            "pending_prefill_tokens": 100 * count,
            "pending_decode_tokens": 200 * count,
            "workers": workers,
        }
        for name, count, workers in (("a", 3, 2), ("b", 1, 1))
    ]


def test_the_table_names_workers_and_deployments(fleet):
    result = run("--redis", fleet.url, "--namespace", "blue")
    assert result.exit_code == 0
    assert all(text in result.stdout for text in ("w1", "w2", "600", "300"))


@pytest.fixture
def three_looks(monkeypatch):
    """Interrupts a watch at its third look."""
    looks = iter(range(2))

    async def sleep(seconds):
        if next(looks, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("rb_litellm.cli.operate.state.asyncio.sleep", sleep)


def test_watching_goes_on_until_it_is_interrupted(fleet, three_looks):
    result = run("--redis", fleet.url, "--namespace", "blue", "--watch")
    assert result.exit_code == 0
    assert "w1" in result.stdout


def test_watching_sees_an_outage_through(three_looks):
    result = run("--redis", "redis://127.0.0.1:1", "--watch")
    assert result.exit_code == 0
    assert "cannot be read, trying again" in result.stdout


def test_the_redis_of_litellms_configuration_is_found(fleet, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "router_settings:\n"
        "  redis_host: 127.0.0.1\n"
        f"  redis_port: {fleet.port}\n"
        "  routing_strategy: routebalance\n"
        "  routing_strategy_args: {redis: {namespace: blue}}\n"
    )
    result = run("--config", str(config), "--json")
    assert len(json.loads(result.stdout)["workers"]) == 2


def test_the_redis_of_an_included_file_is_found(fleet, tmp_path):
    (tmp_path / "redis.yaml").write_text(
        f"router_settings: {{redis_host: 127.0.0.1, redis_port: {fleet.port}}}\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text("include: [redis.yaml]\n")
    result = run("--config", str(config), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["workers"] == []  # of another namespace


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("model_list: &a [*a]\n")
    result = run("--config", str(config))
    assert result.exit_code == 1
    assert f"Error: {config}: line 1: an alias" in result.stderr


def test_an_empty_fleet_says_so_on_standard_error(fleet):
    result = run("--redis", fleet.url, "--namespace", "green")
    assert result.exit_code == 0
    assert "No worker is alive in namespace 'green'" in result.stderr


def test_without_any_redis_it_says_what_to_give():
    result = run()
    assert result.exit_code == 1
    assert "--redis" in result.stderr


def test_a_redis_that_does_not_answer_is_named():
    result = run("--redis", "redis://user:s3cret@127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "redis://127.0.0.1:1/0 cannot be read" in result.stderr
    assert "s3cret" not in result.stderr


def test_a_wrong_namespace_is_refused_with_what_is_allowed():
    result = run("--redis", "redis://a", "--namespace", "no spaces")
    assert result.exit_code == 1
    assert "routing_strategy_args.redis.namespace" in result.stderr


def test_watching_and_json_exclude_each_other():
    assert run("--watch", "--json").exit_code == 2
