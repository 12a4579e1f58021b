"""`routebalance calibrate` before a real vLLM finds what it was started with."""

from __future__ import annotations

import json

from click.testing import CliRunner

from rb_litellm.cli import main
from tests.engines.conftest import SLOTS


def test_slots_window_and_prefix_cache_are_found(vllm: str) -> None:
    result = CliRunner().invoke(main, ["calibrate", "--url", vllm, "--yes", "--json", "--seconds", "300"])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["model"] == "tiny"
    assert told["slots"] == SLOTS
    assert told["context_window"] == 2048
    assert told["prefix_cache"] is True
    assert told["kv_tokens"] > 2048
