"""Settings that change while answers are under way or judged: these requests end as they began."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.judged_models import TEXTS, Models, answer, entry, nothing_open
from tests.e2e.judged_proxy import JUDGE as GOOD_JUDGE
from tests.e2e.judged_proxy import PRICED, serving_models
from tests.e2e.proxy import Proxy, chat, routed, running_proxy

pytestmark = pytest.mark.slow
WITHIN_S = 5.0
"""A changed file is in force after this."""
UNDER_WAY_S = 1.6 * WITHIN_S
JUDGE = {**GOOD_JUDGE, "timeout_s": 4.0 * WITHIN_S}
WAYS = {
    "best_of": {"judge": JUDGE, "correlation": 0.3, "answers": 3},
    "cascade": {"judge": JUDGE, "dependence": 0.0, "timeout_s": 8.0 * WITHIN_S},
}
"""Each has a group of its name."""


@pytest.fixture(scope="module")
def serving() -> Iterator[Models]:
    with serving_models() as models:
        yield models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def proxy(serving: Models, folder: Path) -> Iterator[Proxy]:
    config = {
        "model_list": [
            entry(serving, "judge", 0.5),
            *(of_group(way, entry(serving, "small", 0.6, max_num_seqs=64)) for way in WAYS),
            *(of_group(way, entry(serving, "large", 0.8, max_num_seqs=64)) for way in WAYS),
        ],
        "router_settings": {"routing_groups": groups(WAYS), "num_retries": 0, "disable_cooldowns": True},
    }
    with running_proxy(folder, config) as running:
        yield running


def of_group(way: str, entry: dict[str, Any]) -> dict[str, Any]:
    name = f"{way}-{entry['model_name']}"
    return {**entry, "model_name": name, "model_info": {**entry["model_info"], "id": name}}


def groups(ways: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "group_name": name,
            "models": [f"{name}-small", f"{name}-large"],
            "routing_strategy": "routebalance",
            "routing_strategy_args": {**PRICED, **({name: ways[name]} if name in ways else {})},
        }
        for name in WAYS
    ]


def ask(proxy: Proxy, group: str) -> httpx.Response:
    with proxy.client() as client:
        return client.post("/v1/chat/completions", json=chat(group))


def told_of(response: httpx.Response, way: str) -> str | None:
    return routed(response).get(way.replace("_", "-"))


def under_way_at(
    slow: str, pool: Executor, proxy: Proxy, models: Models
) -> dict[str, Future[httpx.Response]]:
    """A request of each group, which this model keeps waiting."""
    models.asked.clear()
    models.delays = {slow: UNDER_WAY_S}
    under_way = {way: pool.submit(ask, proxy, way) for way in WAYS}
    deadline = time.monotonic() + 10.0
    while models.asked[slow] < len(WAYS):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return under_way


def test_requests_end_as_they_began(proxy: Proxy, serving: Models, folder: Path) -> None:
    models = serving.again()
    models.verdict = "BEST: 2\nVERDICT: POOR"
    for way in WAYS:
        assert told_of(ask(proxy, way), way)
    # A worker takes note of the file when it first looks.
    time.sleep(WITHIN_S)
    with ThreadPoolExecutor(4) as pool:
        judged, answered = (under_way_at(slow, pool, proxy, models) for slow in ("judge", "small"))
        file = folder / "config.yaml"
        config = json.loads(file.read_text())
        config["router_settings"]["routing_groups"] = groups({})
        file.write_text(json.dumps(config))
        time.sleep(WITHIN_S)
        assert not any(one.done() for one in (*judged.values(), *answered.values()))
        models.delays = {}
        for way in WAYS:
            assert told_of(ask(proxy, way), way) is None
        for under_way in (judged, answered):
            best, escalated = (under_way[way].result() for way in WAYS)
            assert (told_of(best, "best_of"), answer(best)) == ("picked", TEXTS[1])
            assert (told_of(escalated, "cascade"), answer(escalated)) == ("escalated", "large answers.")
    nothing_open(proxy)
