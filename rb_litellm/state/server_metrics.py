"""The load that a self-hosted server reports on `/metrics`: requests running and waiting, KV-cache use.

vLLM and SGLang both write Prometheus' text format, with different names. A server with several engines has
one sample per engine: counts are added, and the highest cache use is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs")
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs")
_CACHE_USE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage")
_BEGINNINGS = ("vllm:", "sglang:")
MAX_LINE = 8_192
"""Characters of a line that is read."""
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+([^\s]+)(?:\s+-?\d+)?\s*$")


class MetricsError(ValueError):
    """The answer is not the metrics of a known kind of server."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """Load of one server as it reports it, whoever caused it."""

    running: float
    waiting: float
    cache_use: float | None
    """Share of the KV cache in use, in [0, 1]; None where the server does not report it."""


def read_metrics(text: str) -> ServerLoad:
    """Find the load in Prometheus' text format.

    Raises:
        MetricsError: the number of running requests is missing, or not a number from 0 up.
    """
    samples: dict[str, list[float]] = {}
    wanted = {*_RUNNING, *_WAITING, *_CACHE_USE}
    for line in text.splitlines():
        if len(line) > MAX_LINE or not line.startswith(_BEGINNINGS):
            continue
        found = _SAMPLE.match(line)
        if found is not None and found[1] in wanted:
            samples.setdefault(found[1], []).append(_amount(found[1], found[2]))
    running = next((samples[name] for name in _RUNNING if name in samples), None)
    if running is None:
        raise MetricsError(f"none of {', '.join(_RUNNING)} is among its metrics")
    waiting = next((samples[name] for name in _WAITING if name in samples), [0.0])
    cache_use = next((samples[name] for name in _CACHE_USE if name in samples), None)
    return ServerLoad(sum(running), sum(waiting), None if cache_use is None else min(max(cache_use), 1.0))


def metrics_url(api_base: str) -> str | None:
    """The metrics URL of a server with this `api_base`: beside the API, not under `/v1`."""
    parts = urlsplit(api_base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    path = re.sub(r"/v\d+/?$", "", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/metrics", "", ""))


def _amount(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise MetricsError(f"{name} is {text!r}") from None
    if not 0.0 <= value < 1e9:
        raise MetricsError(f"{name} is {text!r}")
    return value
