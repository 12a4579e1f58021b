"""A server whose metrics are read costs a bounded amount, and what is secret in its address is not shown."""

from __future__ import annotations

import gzip
import logging
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.state.servers import scraper as module
from rb_litellm.state.servers.external_load import ExternalLoad
from rb_litellm.state.servers.scraper import MAX_BYTES, Scraper

METRICS = "vllm:num_requests_running 3\n"
BOMB = gzip.compress(b"# nothing at all\n" * (20 << 20), 9)


async def compressed(request: web.Request) -> web.Response:
    assert request.headers["Accept-Encoding"] == "identity"
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(METRICS.encode())
    while True:
        await answer.write(b"# more\n" * 10_000)


async def plain(request: web.Request) -> web.Response:
    return web.Response(text=METRICS)


async def refusing(request: web.Request) -> web.Response:
    raise web.HTTPForbidden


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    for handler in (compressed, endless, plain, refusing):
        app.router.add_get(f"/{handler.__name__}", handler)
    async with TestServer(app) as running:
        yield running


async def read(url: str) -> Scraper:
    index = DeploymentIndex()
    index.row("a")
    reckoner = Reckoner(index, Ledger(index, LeaseRule()), Peers(index))
    made = Scraper(reckoner, ExternalLoad(), lambda: {"a": url})
    await made.step()
    return made


async def test_a_plain_answer_is_read(server: TestServer) -> None:
    (status,) = (await read(str(server.make_url("/plain")))).status()
    assert status.load is not None
    assert status.load.running == 3.0


async def test_a_compressed_answer_is_not_unpacked(server: TestServer) -> None:
    tracemalloc.start()
    try:
        (status,) = (await read(str(server.make_url("/compressed")))).status()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status.load is None
    assert "encoded" in str(status.error)
    assert peak < 16 << 20


async def test_an_answer_without_an_end_is_read_up_to_the_bound(server: TestServer) -> None:
    text = await module._get(str(server.make_url("/endless")))
    assert MAX_BYTES - len("# more\n") < len(text) <= MAX_BYTES
    assert text.endswith("\n")


async def test_one_long_line_does_not_hold_the_loop() -> None:
    long = "vllm:num_requests_running" + "{" + "}" * (1 << 20) + "\n" + METRICS
    assert module.read_metrics(long).running == 3.0


@pytest.mark.parametrize("path", ["/refusing", "/compressed"])
async def test_no_secret_of_an_address_is_shown(
    server: TestServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.make_url(path).with_user("me").with_password("s3cret").with_query(token="t0ken")
    with caplog.at_level(logging.DEBUG, "rb_litellm"):
        (status,) = (await read(str(url))).status()
    shown = " ".join([status.url, str(status.error), *(r.getMessage() for r in caplog.records)])
    assert str(server.port) in shown
    assert "s3cret" not in shown
    assert "t0ken" not in shown
