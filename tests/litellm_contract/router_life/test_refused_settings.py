"""Settings that cannot be used leave nothing of theirs behind: what is right afterwards comes into force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.litellm_adapter.build_selector import check_settings
from rb_litellm.litellm_adapter.runtime import Runtime


@pytest.mark.parametrize(
    "args",
    [
        {"redis": {"url": "http://here"}},
        {"redis": {"url": "os.environ/NOT_SET_ANYWHERE"}},
        {"feedback": {"path": "/nowhere/at/all"}},
        {"shadow_evaluation": {"judge": "j", "path": "v.jsonl", "usd_per_day": 1}},
    ],
)
def test_all_that_a_build_refuses_is_found_before_it(args: dict[str, Any]) -> None:
    (message,) = check_settings(args, "here")
    assert message.startswith(f"here.{next(iter(args))}")


def test_a_refused_redis_does_not_stay(tmp_path: Path) -> None:
    runtime, router = Runtime(lambda: 0.0), None
    wrong = parse_settings({"redis": {"url": "http://here"}, "baseline": "wrong"}, "here")
    with pytest.raises(SettingsError, match="redis"):
        runtime.adopt(wrong, router)
    assert runtime.recorder.baseline.model is None
    runtime.adopt(parse_settings({"weights": "cost"}, "here"), router)
