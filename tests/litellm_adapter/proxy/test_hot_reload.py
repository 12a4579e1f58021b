"""A look at the settings that fails is told once, and changes nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from rb_litellm.litellm_adapter.proxy import hot_reload as module
from rb_litellm.litellm_adapter.proxy.hot_reload import HotReload


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What has been applied; the proxy has a router and a database, of which `stored` is asked."""
    router = SimpleNamespace(get_settings=dict)
    server = SimpleNamespace(llm_router=router, user_config_file_path=None)
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", server)
    done: list[Any] = []

    async def apply(*given: Any) -> None:
        done.append(given)

    monkeypatch.setattr(module, "apply_stored_settings", apply)
    return done


def stored(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    async def ask(server: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(module, "stored_settings", ask)


async def test_an_outage_of_the_database_is_told_once_and_its_end_too(
    applied: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looking = HotReload()
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        for value in ("a", ConnectionError("gone"), ConnectionError("gone"), "a", "a"):
            stored(monkeypatch, value)
            await looking._reload()
    assert [r.getMessage().splitlines()[0].split(": ")[1] for r in caplog.records] == [
        "settings cannot be read; those in force stay",
        "settings can be read again",
    ]
    assert applied == []


async def test_what_changed_during_an_outage_is_taken_up_after_it(
    applied: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = HotReload()
    for value in ("a", ConnectionError("gone"), "b", "b"):
        stored(monkeypatch, value)
        await looking._reload()
    assert len(applied) == 1


async def test_what_could_not_be_applied_is_tried_again(
    applied: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, apply = HotReload(), module.apply_stored_settings

    async def fail(*given: Any) -> None:
        raise ConnectionError("gone")

    for value, how in (("a", apply), ("b", fail), ("b", apply), ("b", apply)):
        stored(monkeypatch, value)
        monkeypatch.setattr(module, "apply_stored_settings", how)
        await looking._reload()
    assert len(applied) == 1


OURS = {"routing_strategy": "routebalance", "routing_strategy_args": {"weights": "cost"}}
GROUP = {"group_name": "auto", "models": ["small"], "routing_strategy": "routebalance"}
MODELS = [{"model_name": "small", "litellm_params": {"model": "hosted_vllm/small"}}]


class Router:
    """Notes what it is asked to change."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []

    def update_settings(self, **settings: Any) -> None:
        self.updates.append(settings)


def reloaded(path: Path, *versions: dict[str, Any]) -> Router:
    """A router after a look at each of these `router_settings` of the same file."""
    router, looking = Router(), HotReload()
    for number, settings in enumerate(versions, 1):
        path.write_text(yaml.safe_dump({"model_list": MODELS, "router_settings": settings}))
        os.utime(path, (number, number))
        asyncio.run(looking._from_file(router, path))
    return router


def test_changed_settings_are_applied_and_said_to_be_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = {**OURS, "routing_strategy_args": {"weights": "quality"}}
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        router = reloaded(tmp_path / "config.yaml", OURS, changed)
    assert router.updates == [changed]
    assert "are in force" in caplog.text


@pytest.mark.parametrize("after", [{}, {"routing_strategy": "simple-shuffle"}, {"num_retries": 1}])
def test_a_file_that_drops_the_strategy_is_not_said_to_be_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, after: dict[str, Any]
) -> None:
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        router = reloaded(tmp_path / "config.yaml", OURS, after)
    (line,) = [record.getMessage() for record in caplog.records]
    assert router.updates == []
    assert "in force" not in line
    assert "no longer ask for `routebalance` (routing_strategy)" in line
    assert "restart it" in line


def test_what_is_dropped_is_told_apart_from_what_is_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = {**OURS, "routing_groups": [GROUP]}
    after = {"routing_groups": [{**GROUP, "routing_strategy_args": {"weights": "cost"}}]}
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        router = reloaded(tmp_path / "config.yaml", before, after)
    (line,) = [record.getMessage() for record in caplog.records]
    assert router.updates == [after]
    assert "(routing_strategy)" in line
    assert "Its other changes are in force" in line


def test_a_strategy_that_comes_back_is_applied_again(tmp_path: Path) -> None:
    assert reloaded(tmp_path / "config.yaml", OURS, {}, OURS).updates == [OURS]


async def test_a_file_that_stays_unreadable_is_told_once_and_taken_up_when_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, router, looking, reads = tmp_path / "config.yaml", Router(), HotReload(), []
    read = module._read
    monkeypatch.setattr(module, "_read", lambda path: reads.append(threading.get_ident()) or read(path))

    async def look(text: str, at: int, times: int) -> None:
        path.write_text(text)
        os.utime(path, (at, at))
        for _ in range(times):
            await looking._from_file(router, path)

    changed = {**OURS, "routing_strategy_args": {"weights": "quality"}}
    before, after = (yaml.safe_dump({"model_list": MODELS, "router_settings": s}) for s in (OURS, changed))
    await look(before, 1, 2)
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        await look(before + "model_list: [", 3, 2)
        assert caplog.records == []  # half written, as far as one can tell
        reads.clear()
        await look(before + "model_list: [", 3, 8)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"{path}: line" in line
    assert "the settings in force stay" in line
    assert len(reads) == 1
    assert reads[0] != threading.get_ident()  # requests are not made to wait
    assert router.updates == []
    await look(after, 4, 1)
    assert router.updates == [changed]


async def test_what_only_the_environment_shows_to_be_wrong_is_not_said_to_be_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = {"weights": "cost", "redis": {"url": "os.environ/NOT_SET_ANYWHERE"}}
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        router = await asyncio.to_thread(
            reloaded, tmp_path / "config.yaml", OURS, {**OURS, "routing_strategy_args": args}
        )
    (line,) = [record.getMessage() for record in caplog.records]
    assert "is not taken over, the old settings stay" in line
    assert "routing_strategy_args.redis.url" in line
    assert router.updates == []
