"""Whoever looks at decisions leaves the loop to those who send requests, however much is looked at."""

from __future__ import annotations

import asyncio
import json

from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.proxy.endpoints.decision_texts import MAX_TEXTS, DecisionTexts
from rb_litellm.litellm_adapter.proxy.endpoints.turns import SLICE_S, Turns
from rb_litellm.telemetry.records.decision import DecisionRecord, as_json


async def test_the_loop_goes_round_between_slices_however_many_look() -> None:
    done, rounds = [0], [0]
    most, items = 0, 16
    # On the clock of this test so many items take a little more than a slice.
    turns = Turns(lambda: done[0] * 1.001 * SLICE_S / items)

    def work(_: int) -> int:
        done[0] += 1
        return done[0]

    async def look() -> list[int]:
        return await turns.each(range(10 * items), work)

    looks = asyncio.gather(*(look() for _ in range(20)))
    while not looks.done():
        before = done[0]
        await asyncio.sleep(0)
        most, rounds[0] = max(most, done[0] - before), rounds[0] + 1
    assert done[0] == 200 * items
    assert most <= items
    assert [len(one) for one in await looks] == [10 * items] * 20


async def test_who_leaves_while_waiting_holds_up_nobody() -> None:
    turns = Turns()
    async with turns.one():
        waiting = asyncio.create_task(turns.each([1], str))
        await asyncio.sleep(0)
        waiting.cancel()
    assert await turns.each([1, 2], str) == ["1", "2"]


async def test_a_decision_is_written_once_until_it_is_measured() -> None:
    texts = DecisionTexts(Turns())
    records = [record(f"call-{n}") for n in range(3)]
    assert json.loads(await texts.array(records)) == [as_json(one) for one in records]
    records[0].deployment = "elsewhere"
    assert "elsewhere" not in await texts.array(records)
    records[0].outcome = Outcome("elsewhere", "success-hook", None, 10, 0.0, 0.0, 1.0)
    assert "elsewhere" in await texts.array(records)


async def test_texts_are_bounded() -> None:
    texts = DecisionTexts(Turns())
    await texts.array([record(f"call-{n}") for n in range(MAX_TEXTS + 50)])
    assert len(texts._texts) == MAX_TEXTS


def record(call_id: str) -> DecisionRecord:
    return DecisionRecord(call_id, 0, "large-0", "large", 3, "joint", 0.001)
