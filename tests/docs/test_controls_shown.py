"""Every `curl` of the documentation says what the proxy understands, and every control has one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from rb_litellm.config import ControlName
from rb_litellm.controls import Controls, LevelControls, parse_controls
from rb_litellm.litellm_adapter.proxy.endpoints import (
    explain_routes,
    feedback_routes,
    metrics_routes,
    status_routes,
)
from tests.docs.pages import PAGES, ROOT, Command, commands

_HEADER = "x-routebalance-"
_LITELLM = {"/v1/chat/completions", "/key/generate", "/team/new"}
CURLS = [command for page in PAGES for command in commands(page, "curl")]


def after(command: Command, *options: str) -> list[str]:
    words = command.words
    return [words[i + 1] for i, word in enumerate(words[:-1]) if word in options]


def body(command: Command) -> dict[str, Any]:
    texts = after(command, "-d")
    loaded: dict[str, Any] = json.loads(texts[0]) if texts else {}
    return loaded


def headers(command: Command) -> dict[str, str]:
    pairs = (header.partition(": ") for header in after(command, "-H"))
    return {
        key.lower().removeprefix(_HEADER).replace("-", "_"): value
        for key, _, value in pairs
        if key.lower().startswith(_HEADER)
    }


def controls(command: Command) -> Iterator[tuple[dict[str, Any], type[Controls]]]:
    """What it asks for, by where it stands: a key's or team's metadata, headers, body."""
    told = body(command)
    if "metadata" in told:
        yield told["metadata"]["routebalance"], LevelControls
    yield headers(command), Controls
    yield told.get("routebalance", {}), Controls
    yield {name: told[name] for name in ("priority",) if name in told}, Controls


@pytest.mark.parametrize("command", CURLS, ids=str)
def test_a_curl_asks_for_controls_that_there_are(command: Command) -> None:
    for given, model in controls(command):
        parse_controls(given, str(command), model)


@pytest.mark.parametrize("command", CURLS, ids=str)
def test_a_curl_goes_to_a_path_that_is_served(command: Command) -> None:
    (url,) = (word for word in command.words if word.startswith("localhost:4000"))
    path = url.removeprefix("localhost:4000").partition("?")[0]
    sources = "".join(
        open(module.__file__).read()  # noqa: SIM115
        for module in (explain_routes, feedback_routes, metrics_routes, status_routes)
    )
    assert path in _LITELLM or f'"{path.removeprefix("/routebalance")}"' in sources


def test_every_control_has_a_curl() -> None:
    page = ROOT / "docs" / "controls.md"
    shown = {name for command in commands(page, "curl") for given, _ in controls(command) for name in given}
    assert set(get_args(ControlName)) - shown == set()
