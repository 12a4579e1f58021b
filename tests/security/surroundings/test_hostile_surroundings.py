"""What stands around a proxy and is not trusted: a store that others write to, a server that is scraped."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, chat, running_proxy
from tests.litellm_contract.routers import deployment
from tests.security.conftest import member, routing_group, send
from tests.security.surroundings.test_shared_state import BAD, GOOD, now_ms, write

pytestmark = pytest.mark.slow
SECRET = "s3cret-of-an-address"
BOMB = gzip.compress(b"# nothing at all\n" * (20 << 20), 9)
PATIENCE_S = 60.0


class _Metrics(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(BOMB)))
        self.end_headers()
        self.wfile.write(BOMB)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def store() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(store: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as metrics:
        threading.Thread(target=metrics.serve_forever, daemon=True).start()
        address = f"http://user:{SECRET}@127.0.0.1:{metrics.server_address[1]}"
        scraped = deployment("scraped", 0.2, "scraped", {"routebalance": {"quality": 0.2}})
        scraped["litellm_params"] |= {"model": "hosted_vllm/scraped", "api_base": f"{address}/v1"}
        group = routing_group(
            "auto",
            "good",
            "scraped",
            redis={"url": store.url, "interval_ms": 100},
            scrape={"interval_s": 1.0},
        )
        config = {
            "model_list": [member("good", 0.9), scraped],
            "router_settings": {"routing_groups": [group]},
        }
        with running_proxy(tmp_path_factory.mktemp("hostile"), config) as running:
            yield running
        metrics.shutdown()


def status(proxy: Proxy) -> dict[str, Any]:
    answer = send(proxy, proxy.key, "/routebalance/status")
    assert answer.status_code == 200, answer.text
    # JSON as browsers read it: no Infinity, no NaN.
    told: dict[str, Any] = json.loads(answer.text, parse_constant=pytest.fail)
    return told


def until(proxy: Proxy, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while not holds(told := status(proxy)):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    return told


def test_whatever_is_written_to_the_store_the_proxy_serves_and_tells_of_it(
    proxy: Proxy, store: RedisServer
) -> None:
    assert send(proxy, proxy.key, "/v1/chat/completions", chat("auto")).status_code == 200
    for number, value in enumerate(BAD.values()):
        write(store, f"bad-{number}", f"{now_ms(store)} ".encode() + value.encode("latin-1"))
    write(store, "bad-age", f"1e400 {GOOD}")
    told = until(proxy, lambda now: now["exchange"]["unreadable"] > 0)
    assert told["exchange"]["error"] is None
    assert send(proxy, proxy.key, "/v1/chat/completions", chat("auto")).status_code == 200
    assert send(proxy, proxy.key, "/routebalance/explain", chat("auto")).status_code == 200
    for line in proxy.child.output().splitlines():
        assert "RouteBalance" not in line or line.isprintable(), line


def test_a_scraped_server_fills_no_memory_and_its_password_is_not_shown(proxy: Proxy) -> None:
    send(proxy, proxy.key, "/v1/chat/completions", chat("auto"))
    told = until(proxy, lambda now: any(server["failures"] for server in now["servers"]))
    assert _Metrics.asked
    assert SECRET not in json.dumps(told)
    for path in ("/routebalance/metrics", "/routebalance/whatif?quality=1&latency=0&cost=0"):
        assert SECRET not in send(proxy, proxy.key, path).text
    for line in proxy.child.output().splitlines():
        assert "RouteBalance" not in line or SECRET not in line
