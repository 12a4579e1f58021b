"""A look at the settings that fails is told once, and changes nothing."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

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
