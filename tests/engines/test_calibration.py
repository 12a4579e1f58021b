"""`routebalance calibrate` before a real engine finds what it was started with."""

from __future__ import annotations

import json

from click.testing import CliRunner

from rb_litellm.cli import main
from tests.engines.engine import MODEL, SLOTS, WINDOW, Engine


def test_slots_window_and_prefix_cache_are_found(engine: Engine) -> None:
    arguments = ["calibrate", "--url", engine.url, "--yes", "--json", "--seconds", "300"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["model"] == MODEL
    assert told["slots"] == SLOTS
    assert told["context_window"] == WINDOW
    assert told["prefix_cache"] is True
    if engine.name == "vLLM":
        assert told["kv_tokens"] > WINDOW
