"""Forecasts of real engines: slots are found, a queue is forecast, and it leaves no after-effect."""

from __future__ import annotations

import asyncio

import litellm
import pytest

from tests.engines.engine import MODEL, SLOTS, WINDOW, Engine
from tests.engines.traffic import Routed, e2e_error, ttft_error


async def test_slots_are_found_within_ten_requests(engine: Engine) -> None:
    routed = Routed(engine.url, MODEL)
    await routed.in_turn(2)
    await routed.together(8)
    assert routed.slots() == SLOTS


@pytest.mark.parametrize("stream", [True, False])
async def test_a_queue_leaves_no_after_effect(engine: Engine, stream: bool) -> None:
    routed = Routed(engine.url, MODEL)
    await routed.in_turn(10, stream=stream)
    await routed.together(8, stream=stream)
    assert e2e_error(await routed.in_turn(5, stream=stream)) < 0.3


async def test_forecasts_of_an_idle_server_hold_after_thirty_requests(engine: Engine) -> None:
    routed = Routed(engine.url, MODEL)
    await routed.in_turn(30)
    later = await routed.in_turn(10)
    assert ttft_error(later) < 0.15
    assert e2e_error(later) < 0.10


async def test_forecasts_of_a_full_server_hold_after_thirty_requests(engine: Engine) -> None:
    routed = Routed(engine.url, MODEL)
    for _ in range(5):
        await routed.together(3 * SLOTS)
    later = [outcome for _ in range(3) for outcome in await routed.together(3 * SLOTS)]
    assert ttft_error(later) < 0.25
    assert e2e_error(later) < 0.15


async def test_two_deployments_on_one_engine_see_each_other(engine: Engine) -> None:
    routed = Routed(engine.url, MODEL, deployments=2)
    await routed.together(8)
    others = asyncio.gather(*(routed.ask() for _ in range(8)))
    await asyncio.sleep(0.3)
    await routed.ask(group=1)
    await others
    await asyncio.sleep(0.5)
    (one,) = (outcome for outcome in routed.runtime.outcomes if outcome.deployment == routed.ids[1])
    assert one.in_flight >= 6
    assert e2e_error([one]) < 0.3


async def test_what_the_server_tells_is_read(engine: Engine) -> None:
    routed = Routed(engine.url, MODEL, scrape=True)
    await routed.in_turn(1)
    for _ in range(100):
        if any(server.load for server in routed.runtime.scraping.status()):
            break
        await asyncio.sleep(0.1)
    (server,) = routed.runtime.scraping.status()
    assert server.load is not None
    assert server.load.engine == engine.name
    assert server.window == WINDOW


async def test_a_prompt_that_is_too_long_is_refused_and_leaves_nothing_open(engine: Engine) -> None:
    routed = Routed(engine.url, MODEL)
    for stream in (True, False):
        with pytest.raises(litellm.BadRequestError, match="context"):
            await routed.ask(words=8_000, stream=stream)
    assert routed.runtime.ledger.sums(routed.runtime.clock()).in_flight.sum() == 0.0
