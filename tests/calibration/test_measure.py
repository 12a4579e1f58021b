"""A mock server whose figures are known is measured; they must be found. Broken servers are named as such."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx
import pytest
from aiohttp import web

from rb_litellm.calibration.document import Document, document
from rb_litellm.calibration.engine import CannotCalibrate, Engine
from rb_litellm.calibration.fit import fitted
from rb_litellm.calibration.measure import Calibrating
from rb_litellm.calibration.plan import Plan
from rb_litellm.demo.backend import Manner, Place, make_server
from rb_litellm.demo.server.answers import MAX_MODEL_LEN
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from tests.calibration.virtual_time import run

SMALL = Plan(lengths=(32, 128, 512), batches=(1, 2, 4, 8), cached=512)


async def measured(
    app: web.Application, plan: Plan, seconds: float = 120.0, model: str | None = None, key: str | None = None
) -> tuple[Document, list[str]]:
    """A calibration of the server that runs this application, and what was told meanwhile."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    clock, told = asyncio.get_running_loop().time, []
    try:
        async with httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None)) as client:
            engine = Engine(client, url, key, clock)
            found = await Calibrating(engine, plan, clock, seconds, Random(1), told.append).run(model)
            return document(url, engine.model, fitted(found)), told
    finally:
        await runner.cleanup()


def mock(tier: str = "paper-7b", **manner: Any) -> web.Application:
    return make_server(Place("m-1", 0, "m", tier), Manner(**manner)).application()


@pytest.mark.parametrize("tier", ["paper-3b", "paper-72b"])
@pytest.mark.parametrize("slots", [1, 3, 6])
def test_the_figures_of_a_mock_server_are_found(tier: str, slots: int) -> None:
    hardware = PAPER_CLUSTER.tier(tier).hardware
    found, _ = run(measured(mock(tier, slots=slots), Plan()))
    assert found.slots == slots
    assert found.context_window == MAX_MODEL_LEN
    assert not found.prefix_cache
    assert found.model == "m"
    assert list(found.tpot_ms) == sorted({1, *(n for n in (2, 4) if n < slots), slots})
    for batch, ms in found.tpot_ms.items():
        assert ms == pytest.approx(hardware.iteration_s(batch, batch * 60) * 1000.0, rel=0.05)
    for tokens, ms in found.ttft_measured_ms.items():
        passes = [min(2048, tokens - done) for done in range(0, tokens, 2048)]
        assert ms == pytest.approx(sum(map(hardware.iteration_s, passes)) * 1000.0, rel=0.1)


def test_what_it_sends_stays_within_what_it_says() -> None:
    plan, server = Plan(), make_server(Place("m-1", 0, "m", "paper-7b"), Manner(slots=64))
    run(measured(server.application(), plan))
    assert server.counts["requests"] <= plan.requests
    assert server.counts["prompt_tokens"] <= plan.prompt_tokens
    assert server.counts["generation_tokens"] <= plan.answer_tokens


def test_more_slots_than_are_tried_are_not_guessed() -> None:
    found, _ = run(measured(mock(slots=64), SMALL))
    assert found.slots is None
    assert found.most_asked == 8
    assert "max_num_seqs" not in found.settings()


def test_a_prefix_cache_is_seen() -> None:
    found, _ = run(measured(mock(prefix_cache=True, slots=2), SMALL))
    assert found.prefix_cache


def test_a_slow_server_is_measured_as_far_as_the_time_goes() -> None:
    found, told = run(measured(mock("paper-72b", slots=64, time_scale=0.2), Plan(), seconds=60.0))
    assert max(found.tpot_ms) < 64
    assert "time is over" in told[-1]


def test_a_server_that_hangs_is_given_up() -> None:
    server = make_server(Place("m-1", 0, "m", "paper-3b"), Manner())
    server.faults = server.faults.model_copy(update={"hang": True})
    with pytest.raises(CannotCalibrate, match="nothing could be measured in 5 s"):
        run(measured(server.application(), SMALL, seconds=5.0))


def test_a_server_that_refuses_many_at_once_is_measured_up_to_the_batch_before() -> None:
    server = make_server(Place("m-1", 0, "m", "paper-7b"), Manner(slots=64))
    open_now = 0

    @web.middleware
    async def at_most_three(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal open_now
        open_now += 1
        try:
            await asyncio.sleep(0.001)
            if open_now > 3:
                return web.json_response({"error": {"message": "overloaded"}}, status=429)
            return await handler(request)
        finally:
            open_now -= 1

    app = server.application()
    app.middlewares.append(at_most_three)
    found, told = run(measured(app, SMALL))
    assert list(found.tpot_ms) == [1, 2]
    assert found.slots is None
    assert found.most_asked == 2
    assert "answers with 429: " in told[-1]
    assert "batches of 4 and more are left out" in told[-1]


def refusing(refused: Callable[[int, int], bool], retry_after: str | None = None) -> web.Application:
    """A mock server that answers 429 to some requests, by their number and the letters of their prompt."""
    asked = 0

    @web.middleware
    async def sometimes(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal asked
        if request.method == "POST":
            asked += 1
            if refused(asked, len((await request.json())["messages"][0]["content"])):
                headers = {} if retry_after is None else {"Retry-After": retry_after}
                return web.json_response({"error": {"message": "overloaded"}}, status=429, headers=headers)
        return await handler(request)

    app = mock(slots=64)
    app.middlewares.append(sometimes)
    return app


@pytest.mark.parametrize(
    "number", [1, 3, 8, 12, 14], ids=["first", "short", "long", "repeated", "batch of 1"]
)
def test_a_lone_request_that_is_refused_once_is_sent_again(number: int) -> None:
    found, told = run(measured(refusing(lambda asked, _: asked == number), SMALL))
    assert (len(found.ttft_measured_ms), list(found.tpot_ms)) == (3, [1, 2, 4, 8])
    assert [line for line in told if "answers with 429" in line and line.endswith("asked again in 1 s")]


@pytest.mark.parametrize(
    ("retry_after", "waited"),
    [("7", "7 s"), ("86400", "15 s"), ("0", "1 s"), ("-3", "1 s"), ("Wed, 21 Oct 2026 07:28:00 GMT", "1 s")],
)
def test_the_wait_that_a_server_asks_for_is_kept_within_a_bound(retry_after: str, waited: str) -> None:
    _, told = run(measured(refusing(lambda asked, _: asked == 1, retry_after), SMALL))
    assert told[1].endswith(f"asked again in {waited}")


def test_prompts_that_stay_refused_are_left_out_and_the_rest_is_kept() -> None:
    found, told = run(measured(refusing(lambda _, letters: letters > 1000), SMALL))
    assert (len(found.ttft_measured_ms), list(found.tpot_ms)) == (2, [1, 2, 4, 8])
    assert any(line.endswith("prompts of 512 tokens and more are left out") for line in told)


def test_a_server_that_refuses_every_request_is_asked_four_times() -> None:
    asked = 0

    def refused(number: int, _: int) -> bool:
        nonlocal asked
        asked = number
        return True

    with pytest.raises(CannotCalibrate, match="answers with 429"):
        run(measured(refusing(refused), SMALL))
    assert asked == 4


def test_of_one_length_and_one_batch_no_growth_is_written_down() -> None:
    found, _ = run(measured(mock(slots=64), Plan(lengths=(32,), batches=(1,), cached=32)))
    assert list(found.settings()) == ["ttft_ms", "tpot_ms"]
    one_slot, _ = run(measured(mock(slots=1), SMALL))
    assert one_slot.settings()["tpot_ms_per_running"] == 0.0


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def one_model(handler: Handler, models: tuple[str, ...] = ("m",)) -> web.Application:
    """A server of a few models that answers as the handler does."""

    async def cards(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer right":
            return web.json_response({"error": {"message": "no"}}, status=401)
        return web.json_response({"data": [{"id": name} for name in models]})

    app = web.Application()
    app.add_routes([web.get("/v1/models", cards), web.post("/v1/chat/completions", handler)])
    return app


def stream_of(*pieces: dict[str, Any]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await asyncio.sleep(0.01)
            await response.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
        await response.write_eof()
        return response

    return handler


def text(content: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}}]}


def usage(written: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": written}}


def failing(status: int) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "it is broken"}}, status=status)

    return handler


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (failing(500), "answers with 500: .*it is broken"),
        (failing(503), "answers with 503: .*while it has nothing else to do"),
        (failing(404), "answers with 404: .*often ends in /v1"),
        (failing(401), r"refuses the key \(401\); set --key"),
        (stream_of(), "answers m with nothing"),
        (stream_of(text(""), usage(0)), "answers m with nothing"),
        (stream_of(*[text("a")] * 48), "tells no usage"),
        (stream_of(text("a"), text("b"), usage(2)), "ended after 2 tokens in 2 pieces"),
        (stream_of(text("all of it"), usage(48)), "ended after 48 tokens in 1 pieces"),
        (stream_of(text("a"), {"error": {"message": "out of memory"}}), "breaks its stream off: .*memory"),
        (stream_of(*[text("a")] * 300), "writes on after the 48 tokens"),
    ],
)
def test_an_answer_that_cannot_be_measured_is_named(handler: Handler, message: str) -> None:
    with pytest.raises(CannotCalibrate, match=message):
        run(measured(one_model(handler), SMALL, key="right"))


@pytest.mark.parametrize(
    ("models", "key", "message"),
    [
        (("m",), None, "refuses the key"),
        (("one", "two"), "right", "has these models: one, two; name one with --model"),
        ((), "right", "has these models: none"),
    ],
)
def test_a_server_that_must_be_asked_otherwise_says_how(
    models: tuple[str, ...], key: str | None, message: str
) -> None:
    with pytest.raises(CannotCalibrate, match=message):
        run(measured(one_model(failing(500), models), SMALL, key=key))


def test_a_server_that_does_not_know_ignore_eos_is_asked_without() -> None:
    asked: list[bool] = []
    answer = stream_of(*[text("a")] * 48, usage(48))

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append("ignore_eos" in await request.json())
        if asked[-1]:
            return web.json_response({"error": {"message": "unknown field"}}, status=422)
        return await answer(request)

    run(measured(one_model(handler), SMALL, key="right"))
    assert asked[0]
    assert not any(asked[1:])


def test_nobody_listens() -> None:
    async def work() -> None:
        async with httpx.AsyncClient() as client:
            engine = Engine(client, "http://127.0.0.1:9/v1", None, asyncio.get_running_loop().time)
            await Calibrating(engine, SMALL, engine._clock, 5.0, Random(1), print).run(None)

    with pytest.raises(CannotCalibrate, match="does not answer"):
        run(work())
