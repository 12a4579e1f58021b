"""Every way in which the strategy is taken up, each by real processes.

One worker by `rb-litellm` is what all other tests of a running proxy start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.testbed import running_proxy
from rb_litellm.demo.processes import ChildFailed
from tests.e2e.proxy import (
    LITELLM,
    RB_LITELLM,
    START_S,
    Proxy,
    Servers,
    chat,
    routed,
    shared_state,
)

CALLBACK = {"litellm_settings": {"callbacks": ["rb_litellm.proxy"]}}
WAYS = [
    pytest.param(RB_LITELLM, {}, (), 2, id="rb-litellm-uvicorn-2"),
    pytest.param(RB_LITELLM, {}, ("--run_gunicorn",), 2, id="rb-litellm-gunicorn-2"),
    pytest.param(RB_LITELLM, {}, ("--run_granian",), 2, id="rb-litellm-granian-2"),
    pytest.param(LITELLM, CALLBACK, (), 1, id="litellm"),
    pytest.param(LITELLM, CALLBACK, (), 2, id="litellm-uvicorn-2"),
    pytest.param(LITELLM, CALLBACK, ("--run_gunicorn",), 2, id="litellm-gunicorn-2"),
    pytest.param(LITELLM, CALLBACK, ("--run_granian",), 2, id="litellm-granian-2"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "extra", "arguments", "workers"), WAYS)
def test_every_worker_routes_with_routebalance(
    command: tuple[str, ...],
    extra: dict[str, Any],
    arguments: tuple[str, ...],
    workers: int,
    redis: RedisServer,
    servers: Servers,
    tmp_path: Path,
) -> None:
    if "--run_granian" in arguments:
        pytest.importorskip("granian")
    namespace = tmp_path.name[-60:].replace("[", "_").replace("]", "_")
    config = {
        "model_list": [servers.deployment(0, "small"), servers.deployment(1, "small")],
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {"redis": {"url": redis.url, "namespace": namespace}},
        },
        **extra,
    }
    # Of a few dozen starts of `litellm --run_gunicorn` on a busy machine, two had a worker that was forked
    # and never served: why is not known. A second start is allowed there, and only there.
    starts = 2 if "--run_gunicorn" in arguments else 1
    for start in range(starts):
        last = start == starts - 1
        folder = tmp_path / str(start)
        with running_proxy(folder, config, command=command, arguments=arguments, workers=workers) as proxy:
            _check_answers(proxy)
            try:
                patience_s = START_S if last else 45.0
                proxy.child.wait_until(lambda: len(_workers(redis.url, namespace)) == workers, patience_s)
                return
            except ChildFailed:
                if last:
                    raise


def _check_answers(proxy: Proxy) -> None:
    seen = []
    # A connection of its own for each, so that the workers share them.
    for _ in range(24):
        with proxy.client() as client:
            response = client.post("/v1/chat/completions", json=chat("small", max_tokens=3))
        assert response.status_code == 200, response.text
        seen.append(routed(response))
    assert {headers.get("reason") for headers in seen} == {"joint"}
    assert {headers["deployment"] for headers in seen} == {"small-0", "small-1"}


def _workers(url: str, namespace: str) -> list[Any]:
    workers: list[Any] = shared_state(url, namespace)["workers"]
    return workers
