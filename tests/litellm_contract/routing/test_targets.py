"""Targets and a day's dollars of the settings, through real Routers over mock answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rb_litellm.litellm_adapter.runtime import Runtime
from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import QUALITY_ONLY, ask, deployment, router

DEAR = {"input_cost_per_token": 1e-4, "output_cost_per_token": 1e-4}


def of_two(**args: Any) -> Any:
    """A Router over one good and dear, and one cheap deployment."""
    return router(
        deployment("good", 0.9, **DEAR),
        deployment("cheap", 0.3),
        routing_strategy_args={**QUALITY_ONLY, **args},
    )


async def learned(runtime: Runtime) -> None:
    """Wait until all answers are learned."""
    await settled(runtime)
    runtime.guarded(runtime.learn_now)


async def test_without_a_days_dollars_the_best_answers():
    of = of_two()
    assert Counter([await ask(of) for _ in range(10)]) == {"good": 10}


async def test_when_the_days_dollars_are_spent_the_cheapest_answers(shared):
    of = of_two(usd_per_day=0.005)
    assert await ask(of) == "good"
    for _ in range(20):
        await ask(of)
        await learned(shared)
    assert shared.day_spend.spent_usd("auto") > 0.005
    assert await ask(of) == "cheap"


@pytest.fixture
def one_minute(shared: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The minute whose requests are counted does not end meanwhile."""
    monkeypatch.setattr(shared.minute_requests, "_wall", lambda: 90.0)


@pytest.mark.usefixtures("one_minute")
async def test_when_the_minutes_requests_are_used_the_cheapest_answers(shared):
    of = of_two(requests_per_minute=20)
    served = [await ask(of) for _ in range(40)]
    assert served[:10] == ["good"] * 10
    assert served[-15:] == ["cheap"] * 15
    assert shared.minute_requests.sum("auto") == 40.0


@pytest.mark.usefixtures("one_minute")
async def test_a_request_that_is_tried_again_counts_once(shared):
    failing = deployment("failing", 0.9, mock_response="litellm.InternalServerError")
    of = router(
        failing, deployment("sound"), num_retries=1,
        routing_strategy_args={**QUALITY_ONLY, "requests_per_minute": 100},
    )  # fmt: skip
    assert await ask(of) == "sound"
    assert shared.minute_requests.sum("auto") == 1.0


async def test_a_target_between_two_deployments_is_met_by_both(shared):
    of = of_two(targets={"cost_usd_per_1k": 1.0})
    served: Counter[str] = Counter()
    for _ in range(20):
        served.update([await ask(of) for _ in range(20)])
        await learned(shared)
    assert set(served) == {"good", "cheap"}
    (told,) = shared.targets.shown()
    assert told["owner"] == "auto"
    # It rises from below: only what answers have cost tells that there is something left to spend.
    assert 0.5 < told["targets"]["cost_usd_per_1k"]["present"] < 1.15
