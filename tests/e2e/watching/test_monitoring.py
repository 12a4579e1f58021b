"""config/prometheus and config/grafana against a real Prometheus that scrapes a real two-worker proxy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.demo.processes import Child, free_port
from rb_litellm.demo.stage import clean_environment
from tests.e2e.proxy import Proxy, Servers, chat, running_proxy
from tests.e2e.scrapes import scrape

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).parents[3] / "config"
REQUESTS = 30


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install prometheus)")
    return found


@pytest.fixture(scope="module")
def proxy(redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    tool("prometheus")
    known = {"tpot_ms": 1.2, "ttft_ms": 5.0}
    config = {
        "model_list": [
            servers.deployment(0, "small", routebalance={"quality": 0.3, **known}),
            servers.deployment(1, "large", routebalance={"quality": 0.9, **known}),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "baseline": "large",
                        "redis": {"url": redis.url, "namespace": "monitoring"},
                    },
                }
            ]
        },
    }
    with running_proxy(tmp_path_factory.mktemp("proxy"), config, workers=2) as running:
        yield running


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        response = httpx.get(f"{self.url}/api/v1/query", params={"query": expression})
        told = response.json()
        assert told["status"] == "success", f"{expression}: {told}"
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        return sum(float(one["value"][1]) for one in self.query(expression))


@pytest.fixture(scope="module")
def prometheus(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The repository's own configuration, but for the proxy's address and key, and scraping every second."""
    folder = tmp_path_factory.mktemp("prometheus")
    settings = yaml.safe_load((CONFIG / "prometheus/prometheus.yml").read_text())
    (folder / "key").write_text(proxy.key)
    settings["global"]["scrape_interval"] = "1s"
    settings["rule_files"] = [str(CONFIG / "prometheus/alerts.yml")]
    (job,) = settings["scrape_configs"]
    job["authorization"] = {"credentials_file": str(folder / "key")}
    job["static_configs"] = [{"targets": [proxy.url.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    port = free_port()
    command = [
        tool("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with Child("prometheus", command, folder / "log", clean_environment()) as child:
        running = Prometheus(f"http://127.0.0.1:{port}")
        child.wait_until(lambda: _is_up(running), 60.0)
        # Some of the requests after the first scrape, so that there are rates.
        for i in range(REQUESTS):
            with proxy.client() as client:
                body = chat("auto", max_tokens=12, stream=bool(i % 2))
                assert client.post("/v1/chat/completions", json=body).status_code == 200
        total = "sum(routebalance_measured_e2e_seconds_count)"
        child.wait_until(lambda: running.value(total) == REQUESTS, 60.0)
        yield running


def _is_up(prometheus: Prometheus) -> bool:
    try:
        return prometheus.value("sum(up) and sum(routebalance_strategy_active)") > 0
    except (httpx.HTTPError, ValueError):
        return False


def dashboard_queries() -> list[tuple[str, str]]:
    board = json.loads((CONFIG / "grafana/dashboards/routebalance.json").read_text())
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]


def test_sums_in_prometheus_are_right_to_the_request(prometheus: Prometheus) -> None:
    assert prometheus.value("sum(routebalance_decisions_total)") == REQUESTS
    assert prometheus.value("sum(routebalance_attempts_closed_total)") == REQUESTS
    assert prometheus.value("sum(routebalance_measured_output_tokens_sum)") == REQUESTS * 12
    assert prometheus.value("sum(routebalance_deployment_in_flight)") == 0


@pytest.mark.parametrize(("title", "expression"), dashboard_queries())
def test_every_query_of_the_dashboard_returns_data(
    prometheus: Prometheus, title: str, expression: str
) -> None:
    found = prometheus.query(expression.replace("$__rate_interval", "2m"))
    assert found, f"{title}: {expression}"
    assert all(one["value"][1] != "NaN" for one in found), f"{title}: {found}"


def test_no_alert_fires_while_all_is_well(prometheus: Prometheus) -> None:
    told = httpx.get(f"{prometheus.url}/api/v1/rules").json()
    rules = told["data"]["groups"][0]["rules"]
    # One that was evaluated before the first scrape may still be pending.
    assert "firing" not in {rule["state"] for rule in rules}, rules
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}


def test_promtool_finds_nothing_to_mend_in_the_series(proxy: Proxy) -> None:
    text = scrape(proxy, "/routebalance/metrics").text
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout.strip()
    assert not done.stderr.strip()


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")]
)
def test_promtool_accepts_the_alerts_and_their_tests(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [tool("promtool"), *arguments], cwd=CONFIG / "prometheus", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafanas_own_types_read_the_dashboard_and_write_it_back_unchanged() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="needs Python 3.11")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    written = json.loads((CONFIG / "grafana/dashboards/routebalance.json").read_text())
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    assert held(written, read) == written


def held(asked: Any, given: Any) -> Any:
    """`given` without what is not in `asked`: defaults that were filled in."""
    if isinstance(asked, dict):
        return {name: held(value, given.get(name)) for name, value in asked.items()}
    if isinstance(asked, list) and len(asked) == len(given):
        return [held(one, other) for one, other in zip(asked, given, strict=True)]
    return given


def test_provisioning_leads_grafana_to_the_dashboard_and_the_dashboard_to_its_data() -> None:
    compose = yaml.safe_load((CONFIG.parent / "docker-compose.yml").read_text())["services"]
    grafana = compose["grafana"]
    mounts = dict(volume.split(":")[:2][::-1] for volume in grafana["volumes"])
    (provider,) = yaml.safe_load((CONFIG / "grafana/provisioning/dashboards/routebalance.yml").read_text())[
        "providers"
    ]
    folder = CONFIG.parent / mounts[provider["options"]["path"]]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    board = json.loads((folder / Path(home).name).read_text())
    (source,) = yaml.safe_load((CONFIG / "grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    assert source["url"] == f"http://prometheus:{compose['prometheus']['ports'][0].rpartition(':')[2]}"


def test_alerts_and_dashboard_name_only_series_that_exist() -> None:
    pytest.importorskip("prometheus_client")
    from prometheus_client import CollectorRegistry

    from rb_litellm.telemetry.metrics import Metrics

    registry = CollectorRegistry()
    Metrics(registry)
    names = {
        name
        for family in registry.collect()
        for suffix in ("", "_total", "_sum", "_count", "_bucket")
        for name in [family.name + suffix]
    }
    used = "\n".join(expression for _, expression in dashboard_queries())
    used += (CONFIG / "prometheus/alerts.yml").read_text()
    assert set(re.findall(r"routebalance_[a-z0-9_]+", used)) <= names
