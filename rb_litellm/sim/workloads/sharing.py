"""The world of a trace whose prompts share their beginnings: its requests, and servers that cache.

The trace is that of Mooncake (https://arxiv.org/abs/2407.00079), a chat service with long prompts:
arrivals, lengths, and ids of blocks of 512 tokens, of which equal beginnings are equal prefixes. Its
prompts are 12,000 tokens long on average, more than the paper's cluster can take. So the servers are
Llama-2-70B, each on eight H100, by the public measurements that the paper's cluster rests on (see
`cluster`): its prefill alone is a third of what four of these can do, and answers are written meanwhile.
The KV cache has what weights leave of 90% of the memory, at 320 KiB a token. A cached token costs a tenth
of another one, as with the usual hosted APIs. The first block is the same in all prompts, the second is the
first of a conversation's own: it stands for the id of a session, which the trace has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.core.types import Prompt
from rb_litellm.sim.servers.cluster import Cluster, Tier
from rb_litellm.sim.servers.instance import Hardware
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS
from rb_litellm.sim.workloads.traces import rows_of_trace
from rb_litellm.sim.workloads.workload import Request

SERVERS = 4
TRACE_BLOCK_TOKENS = 512
_BLOCKS = TRACE_BLOCK_TOKENS // BLOCK_TOKENS
_CHARS_PER_TOKEN = 4
_MS = (
    (1, 8.362), (16, 8.532), (32, 9.284), (128, 10.009), (256, 11.535), (512, 17.708), (1024, 32.693),
    (2048, 63.703),
)  # fmt: skip
_KV_BYTES_PER_TOKEN = 327_680
_BYTES_PER_S = 8 * 3.35e12 * 0.6
_KV_TOKENS = 1_330_000


def cluster() -> Cluster:
    """Four servers of one model."""
    hardware = Hardware(
        curve=tuple((tokens, ms / 1000.0) for tokens, ms in _MS),
        attention_s_per_context_token=_KV_BYTES_PER_TOKEN / _BYTES_PER_S,
        kv_tokens=_KV_TOKENS,
    )
    tier = Tier(
        name="h100-70b",
        model="llama-2-70b",
        instances=SERVERS,
        hardware=hardware,
        input_usd_per_million=0.6,
        output_usd_per_million=0.6,
        cached_usd_per_million=0.06,
        quality=0.5,
        output_tokens=343.0,
    )
    return Cluster("caching", (tier,))


def requests(trace: Path, number: int) -> list[Request]:
    """The first requests of the trace.

    Raises:
        ValueError: it cannot be read, or is no such trace; names the lines.
    """
    return [_request(n, row) for n, row in enumerate(rows_of_trace(trace, number, blocks=True))]


def _request(number: int, row: Mapping[str, Any]) -> Request:
    tokens, ids = row["input_tokens"], row["prefix_blocks"]
    names = tuple(block * _BLOCKS + part for block in ids for part in range(_BLOCKS))
    text = "".join(_text(ids))[: tokens * _CHARS_PER_TOKEN]
    return Request(
        number,
        row["arrival_s"],
        Prompt(text=text, input_tokens=tokens),
        np.array([0.5]),
        np.array([float(row["output_tokens"])]),
        conversation=ids[1] if len(ids) > 1 else None,
        prefix=names[: tokens // BLOCK_TOKENS],
    )


def _text(ids: list[int]) -> Iterator[str]:
    """Words that differ from block to block and are the same for the same block."""
    size = TRACE_BLOCK_TOKENS * _CHARS_PER_TOKEN
    for block in ids:
        word = f"{block:x} "
        yield (word * (size // len(word) + 1))[:size]
