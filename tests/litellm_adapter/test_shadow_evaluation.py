"""Judged evaluation: money of a day and rate of a minute for all workers; what may be set; what is chosen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.core.scoring import PRESETS
from rb_litellm.litellm_adapter.proxy.shadow_evaluation import choices
from rb_litellm.litellm_adapter.shared.daily_budget import DAY_S, DailyBudget
from rb_litellm.litellm_adapter.shared.feedback_file import check_shadow_evaluation
from rb_litellm.telemetry.decision import CandidateRecord, DecisionRecord


def test_no_more_is_reserved_than_the_day_holds(tmp_path: Path) -> None:
    budget = DailyBudget(tmp_path / "budget", 1.0, 100, lambda: 1e9)
    with ThreadPoolExecutor(8) as pool:
        granted = sum(pool.map(lambda _: budget.reserve(0.011), range(400)))
    assert granted == 90
    assert budget.spent() == pytest.approx(0.99)


def test_what_was_not_spent_is_free_again(tmp_path: Path) -> None:
    budget = DailyBudget(tmp_path / "budget", 1.0, 100, lambda: 1e9)
    assert budget.reserve(0.9)
    assert not budget.reserve(0.2)
    budget.settle(0.9, 0.1)
    assert budget.reserve(0.2)
    assert budget.spent() == pytest.approx(0.3)


def test_a_new_day_and_a_new_minute_begin_with_nothing(tmp_path: Path) -> None:
    now = [10 * DAY_S]
    budget = DailyBudget(tmp_path / "budget", 1.0, 2, lambda: now[0])
    assert [budget.begin() for _ in range(3)] == [True, True, False]
    now[0] += 60.0
    assert budget.begin()
    assert budget.reserve(1.0)
    assert not budget.begin()
    now[0] += DAY_S
    assert budget.spent() == 0.0
    assert budget.begin()


def test_a_damaged_file_counts_as_spent(tmp_path: Path) -> None:
    (tmp_path / "budget").write_text("not JSON")
    budget = DailyBudget(tmp_path / "budget", 1.0, 2, lambda: 1e9)
    assert not budget.begin()
    assert not budget.reserve(0.1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "active"}, "needs mode: shadow"),
        ({"path": "/nowhere/verdicts.jsonl"}, "stands in a folder that does not exist"),
    ],
)
def test_an_evaluation_that_cannot_be_is_named_when_the_proxy_starts(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    path = change.get("path", str(tmp_path / "verdicts.jsonl"))
    args = {
        "mode": change.get("mode", "shadow"),
        "shadow_evaluation": {"judge": "judge", "path": path, "usd_per_day": 1.0},
    }
    with pytest.raises(SettingsError, match=said):
        check_shadow_evaluation(parse_settings(args, "here"), "here")


def test_each_weighting_chooses_the_best_of_the_candidates_that_no_filter_removed() -> None:
    def candidate(name: str, quality: float, usd: float, **more: object) -> CandidateRecord:
        told = {"deployment": name, "model": name, "quality": quality, "e2e_s": 1.0, "cost_usd": usd}
        return {**told, **more}  # type: ignore[typeddict-item, return-value]

    good, cheap = candidate("good", 0.9, 0.01), candidate("cheap", 0.3, 0.001)
    gone = candidate("gone", 0.99, 0.0, failed=["slo"])
    record = DecisionRecord("c", 0, "cheap", "cheap", 3, "shadow", 0.0, top=(good, cheap, gone), would=good)
    told = choices(record, {"thrifty": PRESETS["cheapest"], "best": PRESETS["quality"]})
    assert {name: one["model"] for name, one in told.items()} == {
        "weights": "good",
        "thrifty": "cheap",
        "best": "good",
    }
