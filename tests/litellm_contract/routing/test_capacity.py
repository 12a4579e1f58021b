"""`rpm`, `tpm` and `max_parallel_requests` of a deployment are its capacity: who has none left is avoided."""

import asyncio
from collections import Counter

import pytest

from rb_litellm.telemetry.records.decision import as_json
from tests.litellm_contract.routers import ask, deployment, router

SAME = {"model": "openai/same"}
WHOLE_BURST_S = 0.5
"""A busy machine, too, decides on twenty requests before the first is answered."""


async def burst(of, count, **kwargs):
    """Who answered each of `count` requests at once, or the error's class name."""
    answers = await asyncio.gather(*(ask(of, **kwargs) for _ in range(count)), return_exceptions=True)
    return Counter(type(a).__name__ if isinstance(a, BaseException) else a for a in answers)


async def test_a_burst_meets_no_limit_while_there_is_room():
    of = router(
        deployment("large", rpm=900, mock_delay=0.05, **SAME),
        deployment("small", rpm=10, mock_delay=0.05, **SAME),
    )
    served = await burst(of, 80) + await burst(of, 80)
    assert set(served) <= {"large", "small"}
    assert served["small"] <= 10


async def test_the_best_of_unequals_is_left_when_it_is_full():
    of = router(
        deployment("best", 0.9, rpm=10, mock_delay=0.05),
        deployment("other", 0.1, mock_delay=0.05),
    )
    served = await burst(of, 40) + await burst(of, 40)
    assert set(served) == {"best", "other"}
    assert 8 <= served["best"] <= 10


async def test_rpm_counts_over_the_minute(shared):
    of = router(deployment("best", 0.9, rpm=10), deployment("other", 0.1))
    first = Counter([await ask(of) for _ in range(30)])
    assert 8 <= first["best"] <= 10
    assert first["other"] == 30 - first["best"]


async def test_tpm_counts_tokens(shared):
    of = router(
        deployment("best", 0.9, tpm=2000, model="openai/gpt-4"),
        deployment("other", 0.1, model="openai/gpt-4"),
    )
    served = Counter(
        [await ask(of, messages=[{"role": "user", "content": "word " * 300}]) for _ in range(20)]
    )
    assert 1 <= served["best"] <= 7
    assert served["other"] >= 13


async def test_where_all_are_full_litellm_decides():
    of = router(deployment("a", rpm=3, **SAME), deployment("b", rpm=3, **SAME))
    served = Counter([await ask(of) for _ in range(20)])
    assert sum(served.values()) == 20


async def test_max_parallel_requests_are_slots():
    of = router(
        deployment("best", 0.9, max_parallel_requests=4, mock_delay=WHOLE_BURST_S),
        deployment("other", 0.1, mock_delay=WHOLE_BURST_S),
    )
    assert await burst(of, 20) == {"best": 4, "other": 16}
    assert await burst(of, 20) == {"best": 4, "other": 16}


async def test_the_routers_default_is_a_slot_count_too():
    of = router(
        deployment("best", 0.9, mock_delay=WHOLE_BURST_S),
        deployment("middle", 0.5, mock_delay=WHOLE_BURST_S),
        deployment("other", 0.1, max_parallel_requests=100, mock_delay=WHOLE_BURST_S),
        default_max_parallel_requests=4,
    )
    assert await burst(of, 20) == {"best": 4, "middle": 4, "other": 12}


@pytest.mark.parametrize("metric", ["rpm", "tpm"])
async def test_unequal_capacity_of_equals_is_a_share(metric):
    of = router(
        deployment("three", **{metric: 300_000}, **SAME), deployment("one", **{metric: 100_000}, **SAME)
    )
    served = Counter([await ask(of) for _ in range(80)])
    assert served["one"] == pytest.approx(20, abs=2)


async def test_enforced_limits_refuse_nobody_while_there_is_room():
    of = router(
        deployment("large", rpm=900, **SAME),
        deployment("small", rpm=5, weight=5, **SAME),
        optional_pre_call_checks=["enforce_model_rate_limits"],
    )
    served = await burst(of, 20) + await burst(of, 20)
    assert set(served) <= {"large", "small"}
    assert served["small"] <= 5


async def test_the_record_says_who_was_full(accounting):
    of = router(deployment("best", 0.9, rpm=1), deployment("other", 0.1))
    assert [await ask(of), await ask(of)] == ["best", "other"]
    second, first = [as_json(one.record) for one in accounting.publisher.log.recent()]
    assert "removed" not in first
    assert second["removed"] == {"capacity": 1}
