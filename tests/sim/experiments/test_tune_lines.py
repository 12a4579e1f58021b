"""The lines that `tune --out` writes start a proxy, and say where limits were missed."""

from __future__ import annotations

from pathlib import Path

import yaml

from rb_litellm.cli.decide.tune import snippet
from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.litellm_adapter.proxy.starting.preflight import look_over
from rb_litellm.sim.tuning import Point, Tuned, Wishes

POINT = Point(PRESETS["cost"], 0.61, 2.0, 4.0, 0.5, runs=1)


def lines(wishes: Wishes) -> str:
    found = Tuned(POINT, POINT.miss(wishes) == 0.0, (POINT,), ())
    return snippet(found, wishes, "auto", ["small", "the model: no 4", "small"])


def test_they_are_a_group_that_a_proxy_starts_with(tmp_path: Path) -> None:
    models = [
        {"model_name": name, "litellm_params": {"model": "gpt-4o"}} for name in ("small", "the model: no 4")
    ]
    text = lines(Wishes(max_p95_s=5.0))
    assert "MISSED" not in text
    (tmp_path / "config.yaml").write_text(text + yaml.safe_dump({"model_list": models}))
    assert look_over(tmp_path / "config.yaml").mistakes == []
    (group,) = yaml.safe_load(text)["router_settings"]["routing_groups"]
    assert group["models"] == ["small", "the model: no 4"]


def test_limits_that_are_missed_stand_in_the_file() -> None:
    text = lines(Wishes(max_p95_s=3.0, max_cost_usd_per_1k=0.4, min_quality=0.7))
    assert "# MISSED: p95 E2E is 4.00 s, the limit 3 s\n" in text
    assert "# MISSED: cost is 0.5 USD per 1,000 requests, the limit 0.4\n" in text
    assert "# MISSED: quality is 0.610, the limit 0.7\n" in text
