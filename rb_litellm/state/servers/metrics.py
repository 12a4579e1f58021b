"""The load that a self-hosted server reports: requests running and waiting, KV-cache use.

Every engine has names of its own, and some have changed theirs between releases. All but one write
Prometheus' text format; TensorRT-LLM's own server has a list of iterations in JSON under `/metrics`. A server
with several engines or data-parallel ranks has one sample for each (labels `engine`, `dp_rank`): counts are
added, and the highest cache use is taken. Tensor and pipeline ranks work on the same requests, so of these
the highest counts. Ollama has no such figures.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

MAX_LINE = 8_192
"""Characters of a line that is read."""
_SAME_REQUESTS = frozenset({"tp_rank", "pp_rank", "moe_ep_rank"})
"""Labels of samples that count the same requests."""


class MetricsError(ValueError):
    """The answer is not the metrics of a known kind of server."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """Load of one server as it reports it, whoever caused it."""

    running: float
    waiting: float
    cache_use: float | None
    """Share of the KV cache in use, in [0, 1]; None where the server does not report it."""
    engine: str = ""
    """The engine's name."""
    slots: float | None = None
    """Requests that it runs at once, where it says so."""


@dataclass(frozen=True, slots=True)
class _Series:
    """The names that one figure has had, the newest first, and the labels that its samples must have."""

    names: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Engine:
    name: str
    running: _Series
    waiting: _Series
    cache_use: _Series = _Series()
    slots: _Series = _Series()


_OF_TRITON = "nv_trt_llm_request_metrics"
_ENGINES = (
    _Engine(
        "vLLM",
        _Series(("vllm:num_requests_running",)),
        _Series(("vllm:num_requests_waiting",)),
        _Series(("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")),
    ),
    _Engine(
        "SGLang",
        _Series(("sglang:num_running_reqs", "sglang_num_running_reqs")),
        _Series(("sglang:num_queue_reqs", "sglang_num_queue_reqs")),
        _Series(("sglang:token_usage", "sglang_token_usage")),
    ),
    _Engine(
        "llama.cpp",
        _Series(("llamacpp:requests_processing",)),
        _Series(("llamacpp:requests_deferred",)),
        _Series(("llamacpp:kv_cache_usage_ratio",)),
    ),
    _Engine("TGI", _Series(("tgi_batch_current_size",)), _Series(("tgi_queue_size",))),
    _Engine(
        "LMDeploy",
        _Series(("lmdeploy:num_requests_running",)),
        _Series(("lmdeploy:num_requests_waiting",)),
        _Series(("lmdeploy:gpu_cache_usage_perc",)),
    ),
    _Engine(
        "TensorRT-LLM",
        _Series(("trtllm_num_requests_running",)),
        _Series(("trtllm_num_requests_waiting",)),
        _Series(("trtllm_kv_cache_utilization",)),
    ),
    _Engine(
        "TensorRT-LLM on Triton",
        _Series((_OF_TRITON,), {"request_type": "scheduled"}),
        _Series((_OF_TRITON,), {"request_type": "waiting"}),
        _Series(("nv_trt_llm_kv_cache_block_metrics",), {"kv_cache_block_type": "fraction"}),
        _Series((_OF_TRITON,), {"request_type": "max"}),
    ),
)
ENGINES = (*(engine.name for engine in _ENGINES),)
"""Those whose load is understood."""
_NAMES = frozenset(
    name
    for engine in _ENGINES
    for series in (engine.running, engine.waiting, engine.cache_use, engine.slots)
    for name in series.names
)
_RUNNING = frozenset(name for engine in _ENGINES for name in engine.running.names)
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")

_Samples = dict[str, list[tuple[Mapping[str, str], float]]]


def read_metrics(text: str) -> ServerLoad:
    """Find the load in what a server answers under its metrics' address.

    Raises:
        MetricsError: the number of running requests is missing, or not a number from 0 up.
    """
    if text.lstrip()[:1] in ("[", "{"):
        return _of_iterations(text)
    samples = _samples(_wanted(text.splitlines()))
    for engine in _ENGINES:
        running = _added(samples, engine.running, sum)
        if running is not None:
            cache_use = _added(samples, engine.cache_use, max)
            return ServerLoad(
                running,
                _added(samples, engine.waiting, sum) or 0.0,
                None if cache_use is None else min(cache_use, 1.0),
                engine.name,
                _added(samples, engine.slots, sum) or None,
            )
    raise MetricsError(f"these are no metrics of {', '.join(ENGINES)}")


def metrics_url(api_base: str) -> str | None:
    """The metrics URL of a server with this `api_base`: beside the API, not under `/v1`."""
    return beside_api(api_base, "metrics")


def beside_api(api_base: str, path: str) -> str | None:
    """The address of another path of a server with this `api_base`."""
    parts = urlsplit(api_base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    before = re.sub(r"/v\d+/?$", "", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, f"{before}/{path}", "", ""))


def _wanted(lines: Iterable[str]) -> Iterable[str]:
    # The parser is thorough and takes its time: a server may have thousands of other lines.
    for line in lines:
        name = _NAME.match(line)
        if name is not None and name[0] in _NAMES and len(line) <= MAX_LINE:
            yield line


def _samples(lines: Iterable[str]) -> _Samples:
    from prometheus_client.parser import text_string_to_metric_families

    found: _Samples = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                if math.isnan(sample.value) and sample.name not in _RUNNING:
                    # A share of nothing, such as that of a cache of a rank that has none.
                    continue
                if not 0.0 <= sample.value < 1e9:
                    raise MetricsError(f"{sample.name} is {sample.value}")
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    except MetricsError:
        raise
    except (ValueError, KeyError, IndexError) as error:
        raise MetricsError(f"this is no text of Prometheus' format: {error}") from None
    return found


def _added(samples: _Samples, series: _Series, add: Callable[[Iterable[float]], float]) -> float | None:
    """One figure of all engines and ranks; None where there is none."""
    for name in series.names:
        highest: dict[frozenset[tuple[str, str]], float] = {}
        for labels, value in samples.get(name, ()):
            if all(labels.get(label) == wanted for label, wanted in series.labels.items()):
                of = frozenset(pair for pair in labels.items() if pair[0] not in _SAME_REQUESTS)
                highest[of] = max(highest.get(of, 0.0), value)
        if highest:
            return add(highest.values())
    return None


def _of_iterations(text: str) -> ServerLoad:
    """The last of TensorRT-LLM's iterations. Without any since the last look, nothing runs."""
    try:
        told = json.loads(text)
        if told == []:
            return ServerLoad(0.0, 0.0, None, "TensorRT-LLM")
        last = told[-1]
        cache = last.get("kvCacheStats") or {}
        blocks = cache.get("maxNumBlocks") or 0
        return ServerLoad(
            _amount(last["numActiveRequests"]),
            _amount(last.get("numQueuedRequests", 0)),
            min(_amount(cache["usedNumBlocks"]) / blocks, 1.0) if blocks else None,
            "TensorRT-LLM",
            _amount(last.get("maxNumActiveRequests", 0)) or None,
        )
    except MetricsError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise MetricsError(f"these are no iterations of TensorRT-LLM ({type(error).__name__})") from None


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < 1e9:
        raise MetricsError(f"{value!r} is no number of requests")
    return float(value)
