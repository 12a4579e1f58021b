"""What a server states: llama-server in `/props`, SGLang in `/get_server_info`, vLLM in `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rb_litellm.state.servers.facts import json_object, stated_slots, stated_window
from rb_litellm.state.servers.metrics import MetricsError, read_metrics

PATHS = ("props", "get_server_info", "metrics")
_CACHE = "vllm:cache_config_info"
_BLOCK_SIZE = re.compile(r'[{,]block_size="(\d{1,6})"')
_BLOCK_NUMBER = re.compile(r'[{,]num_gpu_blocks="(\d{1,9})"')
_MAX_LINE = 8_192


@dataclass(frozen=True, slots=True)
class Facts:
    """None for what is not stated."""

    slots: int | None = None
    """Requests at once."""
    context_window: int | None = None
    """Tokens of prompt and answer together."""
    kv_tokens: int | None = None
    """Tokens that the KV cache holds, of all engines behind the address."""
    running: int = 0
    """Requests of others at that moment."""


def facts_of(told: Mapping[str, str]) -> Facts:
    """The facts in what a server answers at each of PATHS."""
    props, info = json_object(told.get("props", "")), json_object(told.get("get_server_info", ""))
    slots = stated_slots(told.get("props", "")) or stated_slots(told.get("get_server_info", ""))
    settings = props.get("default_generation_settings")
    # llama-server divides its cache evenly among its slots.
    per_slot = whole(settings.get("n_ctx")) if isinstance(settings, dict) else None
    kv_tokens = whole(info.get("max_total_num_tokens"))
    if per_slot and slots:
        kv_tokens = per_slot * int(slots)
    return Facts(
        slots=None if slots is None else int(slots),
        context_window=stated_window(told.get("props", "")) or stated_window(told.get("get_server_info", "")),
        kv_tokens=kv_tokens or sum(_blocks(told.get("metrics", ""))) or None,
        running=_running(told.get("metrics", "")),
    )


def whole(value: Any) -> int | None:
    """A whole number from 0 on; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        return None
    return value


def _running(metrics: str) -> int:
    try:
        return int(read_metrics(metrics).running)
    except (MetricsError, ImportError):  # The parser comes with the extra `proxy`.
        return 0


def _blocks(metrics: str) -> Iterator[int]:
    for line in metrics.splitlines():
        if line.startswith(_CACHE) and len(line) <= _MAX_LINE:
            size, number = _BLOCK_SIZE.search(line), _BLOCK_NUMBER.search(line)
            if size and number:
                yield int(size[1]) * int(number[1])
