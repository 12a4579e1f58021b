"""The settings `scrape` and `scrape_url`, down to the servers that are read."""

import asyncio

import pytest

from rb_litellm.config import ScrapeSettings
from rb_litellm.litellm_adapter.shared.catalog import Catalog
from rb_litellm.litellm_adapter.shared.server_scraping import Scraping
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.state.servers.external_load import ExternalLoad


def entry(id, model="hosted_vllm/m", info=None, **params):
    return {
        "model_name": "m",
        "litellm_params": {"model": model, **params},
        "model_info": {"id": id, "routebalance": info or {}},
    }


def test_self_hosted_deployments_have_their_metrics_beside_the_api():
    entries = [
        entry("server", api_base="http://gpu-1:8000/v1"),
        entry("elsewhere", api_base="http://gpu-2:8000/v1", info={"scrape_url": "http://gpu-2:9000/m"}),
        entry("api", model="openai/gpt-4o"),
        entry("declared-hosted", api_base="http://gateway:80/v1", info={"hosted": True}),
        entry("no-address"),
        entry("odd", api_base="http://[::1"),
    ]
    assert Catalog().metrics_urls(entries) == {
        "server": "http://gpu-1:8000/metrics",
        "elsewhere": "http://gpu-2:9000/m",
    }


class Router:
    def __init__(self, *entries):
        self.model_list = list(entries)


class Worker:
    def __init__(self):
        self.index = DeploymentIndex()
        self.external_load = ExternalLoad()
        ledger = Ledger(self.index, LeaseRule())
        self.reckoner = Reckoner(self.index, ledger, Peers(self.index), self.external_load)
        self.scraping = Scraping(self.index, Catalog(), self.external_load)

    def configure(self, settings, *entries):
        self.scraping.configure(settings, Router(*entries))
        self.scraping.ensure_started(self.reckoner)


async def until(true):
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.fixture
async def server(unused_tcp_port):
    """A server that says it has seven requests; its address."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = b"vllm:num_requests_running 7\n"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", unused_tcp_port):
        yield f"http://127.0.0.1:{unused_tcp_port}/v1"


async def test_what_a_server_says_becomes_load_and_what_was_never_routed_to_is_not_read(server):
    worker = Worker()
    row = worker.index.row("met")
    worker.configure(
        ScrapeSettings(interval_s=1.0), entry("met", api_base=server), entry("never-met", api_base=server)
    )
    await until(lambda: any(status.load for status in worker.scraping.status()))
    [status] = worker.scraping.status()
    assert worker.reckoner.state(status.updated_s).in_flight[row] == 7
    worker.configure(None)
    await until(lambda: worker.scraping.status() == ())


async def test_without_the_setting_nothing_is_read(server):
    worker = Worker()
    worker.index.row("met")
    worker.configure(None, entry("met", api_base=server))
    await asyncio.sleep(0.05)
    assert worker.scraping.status() == ()
