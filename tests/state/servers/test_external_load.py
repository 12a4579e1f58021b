"""Load that does not pass through us: read off the servers, and dead servers held against nobody."""

import asyncio

import pytest

from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.state.servers.external_load import ExternalLoad
from rb_litellm.state.servers.metrics import MetricsError, ServerLoad, metrics_url, read_metrics
from rb_litellm.state.servers.scraper import Scraper
from tests.state.state_samples import prediction

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen2.5-7B"} 5.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen2.5-7B"} 2.0
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen2.5-7B"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen2.5-7B"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="a \\"quoted\\" {name} 7"} 0.5
python_gc_objects_collected_total{generation="0"} 9.1e+03
"""
SGLANG = """\
sglang:num_running_reqs{model_name="m"} 3
sglang:num_queue_reqs{model_name="m"} 4 1700000000000
sglang:token_usage{model_name="m"} 0.9
"""


def test_vllm_counts_are_added_over_engines_and_the_fullest_cache_counts():
    assert read_metrics(VLLM) == ServerLoad(7, 1, 0.5, "vLLM")


def test_sglang_is_understood():
    assert read_metrics(SGLANG) == ServerLoad(3, 4, 0.9, "SGLang")


@pytest.mark.parametrize(
    "text", ["", "<html>not found</html>", "vllm:num_requests_running NaN", "vllm:num_requests_running -1"]
)
def test_what_is_no_metrics_is_refused(text):
    with pytest.raises(MetricsError):
        read_metrics(text)


@pytest.mark.parametrize(
    ("api_base", "url"),
    [
        ("http://gpu-1:8000/v1", "http://gpu-1:8000/metrics"),
        ("http://gpu-1:8000", "http://gpu-1:8000/metrics"),
        ("https://host/team/v1/", "https://host/team/metrics"),
        ("unix:///socket", None),
        ("nonsense", None),
    ],
)
def test_metrics_are_beside_the_api(api_base, url):
    assert metrics_url(api_base) == url


class Fleet:
    """One worker that knows of deployments a and b on servers of their own."""

    def __init__(self):
        self.now = 0.0
        self.told = []
        self.answers = {"http://a/metrics": VLLM, "http://b/metrics": SGLANG}
        self.asked = []
        index = DeploymentIndex()
        self.ledger = Ledger(index, LeaseRule())
        external = ExternalLoad()
        self.reckoner = Reckoner(index, self.ledger, Peers(index), external)
        self.targets = {"a": "http://a/metrics", "b": "http://b/metrics"}
        self.scraper = Scraper(
            self.reckoner,
            external,
            lambda: self.targets,
            told=lambda deployments, server: self.told.append((deployments, server.load, server.slots)),
            interval_s=5.0,
            fetch=self.fetch,
            clock=lambda: self.now,
        )

    async def fetch(self, url):
        self.asked.append(url)
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def open(self, deployment, count):
        for _ in range(count):
            key = AttemptKey(str(len(self.ledger)), 0)
            self.ledger.open(key, deployment, now=self.now, input_tokens=10, prediction=prediction())

    def in_flight(self):
        return self.reckoner.state(self.now).in_flight.tolist()


@pytest.fixture
def fleet():
    return Fleet()


async def test_only_what_is_not_ours_is_added(fleet):
    fleet.open("a", 6)
    await fleet.scraper.step()
    assert fleet.in_flight() == [8, 7]


async def test_external_requests_have_as_much_left_to_decode_as_ours(fleet):
    fleet.open("a", 6)
    await fleet.scraper.step()
    assert fleet.reckoner.state(fleet.now).pending_decode_tokens[0] == pytest.approx(8 * 200)


async def test_a_server_that_says_less_than_we_have_open_takes_nothing_away(fleet):
    fleet.open("a", 20)
    await fleet.scraper.step()
    assert fleet.in_flight()[0] == 20


async def test_what_was_read_fades_with_age(fleet):
    await fleet.scraper.step()
    ages = []
    for age in (5.0, 10.0, 14.9, 15.0, 1000.0):
        fleet.now = age
        ages.append(fleet.in_flight()[0])
    assert ages == pytest.approx([8.0, 4.0, 0.08, 0.0, 0.0])


async def test_a_single_odd_reading_counts_by_half(fleet):
    await fleet.scraper.step()
    fleet.answers["http://a/metrics"] = "vllm:num_requests_running 0"
    fleet.now = 5.0
    await fleet.scraper.step()
    assert fleet.in_flight()[0] == 4.0


async def test_deployments_on_one_server_share_its_external_load(fleet):
    fleet.targets = {"a": "http://a/metrics", "twin": "http://a/metrics"}
    fleet.open("a", 3)
    fleet.open("twin", 1)
    await fleet.scraper.step()
    assert fleet.asked.count("http://a/metrics") == 1
    assert fleet.in_flight() == [3 + 4, 1 + 4]


async def test_a_dead_server_is_asked_less_and_less_often_and_delays_nobody(fleet):
    fleet.answers["http://a/metrics"] = OSError("refused")
    for second in range(300):
        fleet.now = float(second)
        await fleet.scraper.step()
    assert fleet.asked.count("http://a/metrics") < 10
    assert fleet.asked.count("http://b/metrics") >= 60
    dead, alive = fleet.scraper.status()
    assert (dead.error, dead.load) == ("OSError: refused", None)
    assert alive.failures == 0


async def test_a_dead_server_is_logged_once_and_once_more_when_it_is_back(fleet, caplog):
    fleet.answers["http://a/metrics"] = OSError("refused")
    for second in range(60):
        fleet.now = float(second)
        await fleet.scraper.step()
    fleet.answers["http://a/metrics"] = VLLM
    for second in range(60, 260):
        fleet.now = float(second)
        await fleet.scraper.step()
    assert ["cannot be read" in r.message for r in caplog.records] == [True, False]


async def test_a_deployment_that_is_taken_away_is_no_longer_read(fleet):
    await fleet.scraper.step()
    del fleet.targets["a"]
    assert len(fleet.scraper.status()) == 2
    await fleet.scraper.step()
    assert [server.url for server in fleet.scraper.status()] == ["http://b/metrics"]


async def test_it_reads_real_servers_over_http(fleet, unused_tcp_port):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(VLLM)}\r\nConnection: close\r\n\r\n"
        writer.write((head + VLLM).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", unused_tcp_port)
    url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
    external = ExternalLoad()
    scraper = Scraper(fleet.reckoner, external, lambda: {"a": url}, interval_s=1.0)
    async with server:
        await scraper.step()
    [status] = scraper.status()
    assert status.error is None
    assert external.requests(status.updated_s, 1).tolist() == [8.0]


async def test_what_a_server_tells_is_passed_on(fleet):
    fleet.targets = {"a": "http://a/metrics", "alias": "http://a/metrics"}
    await fleet.scraper.step()
    assert fleet.told == [(["a", "alias"], read_metrics(VLLM), None)]


async def test_slots_that_a_server_states_are_asked_for_now_and_then(fleet):
    fleet.targets = {"b": "http://b/metrics"}
    fleet.answers["http://b/get_server_info"] = '{"max_running_requests": 8}'
    for fleet.now in (0.0, 5.0, 10.0, 70.0):
        await fleet.scraper.step()
    assert fleet.asked.count("http://b/get_server_info") == 2
    assert fleet.told[-1][2] == 8


async def test_the_window_that_a_server_states_is_told_and_forgotten_with_it(fleet):
    fleet.targets = {"a": "http://a/metrics"}
    fleet.answers["http://a/v1/models"] = '{"data": [{"id": "m", "max_model_len": 4096}]}'
    await fleet.scraper.step()
    (server,) = fleet.scraper.status()
    assert (server.window, server.slots) == (4096, None)
    fleet.now, fleet.answers["http://a/metrics"] = 10.0, OSError("refused")
    await fleet.scraper.step()
    assert server.window is None


class NotImplementedStatus(Exception):
    """As an HTTP client raises it."""

    status = 501


async def test_a_llama_server_without_metrics_still_states_its_slots(fleet):
    fleet.targets = {"a": "http://a/metrics"}
    fleet.answers |= {"http://a/metrics": NotImplementedStatus(), "http://a/props": '{"total_slots": 2}'}
    await fleet.scraper.step()
    assert fleet.told == [(["a"], None, 2)]


async def test_a_server_that_answers_a_request_is_read_again_at_once(fleet):
    """It was left alone for two minutes after it had come back."""
    fleet.targets = {"a": "http://a/metrics"}
    fleet.answers["http://a/metrics"] = OSError("refused")
    for fleet.now in range(0, 200, 5):
        await fleet.scraper.step()
    fleet.answers["http://a/metrics"] = VLLM
    asked = len(fleet.asked)
    fleet.scraper.answered("a")
    await fleet.scraper.step()
    assert fleet.asked[asked] == "http://a/metrics"
    assert fleet.scraper.status()[0].load == read_metrics(VLLM)
