"""Latency priors for deployments whose latency is not configured: by model size, hosted or self-hosted.

TPOT of self-hosted models lies around what the RouteBalance paper (https://arxiv.org/abs/2606.17949) measured
on its cluster at low load: 3B 12 ms, 7B 21 ms, 72B 47 ms per output token. Between the rows of the table it
is interpolated in the logarithm of the size. Growth with load and prefill speed follow from public profiles
of forward passes (Vidur, MLSys 2024, https://arxiv.org/abs/2405.05465): a decode step at a batch of 256 takes
about twice as long as at a batch of one, and prefill time grows with the number of parameters.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

from rb_litellm.core.latency.forecast import LatencyPrior

DEFAULT_SLOTS = 256.0
"""vLLM's default `max_num_seqs` on the hardware of the paper."""
_TPOT_MS_BY_BILLIONS = (
    (1.0, 6.0),
    (3.0, 12.0),
    (8.0, 20.0),
    (14.0, 26.0),
    (32.0, 35.0),
    (72.0, 47.0),
    (180.0, 60.0),
)
_UNKNOWN_TPOT_MS = 25.0
_HOSTED_TPOT_MS = 12.0
_HOSTED_TTFT_MS = 500.0
_GROWTH = 1.0 / 256.0
"""Relative growth of TPOT with each further running sequence."""
_PREFILL_MS_PER_TOKEN_AND_BILLION = 0.02
_SIZE = re.compile(r"(?<![a-z0-9.])e?(?:(\d{1,2})x)?(\d{1,4}(?:\.\d{1,2})?)b(?![a-z])", re.IGNORECASE)
_MILLIONS = re.compile(r"(?<![a-z0-9.])(\d{2,3})m(?![a-z0-9])", re.IGNORECASE)


def billions_of_parameters(name: str) -> float | None:
    """Parameters in billions, read from a name: `llama-3.1-8b` 8, `mixtral-8x7b` 56, `gemma-3-270m` 0.27."""
    if (found := _SIZE.search(name)) is not None:
        return float(found[1] or 1) * float(found[2])
    small = _MILLIONS.search(name)
    return None if small is None else float(small[1]) / 1000.0


def latency_prior(
    name: str,
    hosted: bool,
    tpot_ms: float | None = None,
    ttft_ms: float | None = None,
    max_num_seqs: int | None = None,
    prefill_ms_per_1k_tokens: float | None = None,
    tpot_ms_per_running: float | None = None,
) -> LatencyPrior:
    """The prior of one deployment: from its settings, and from the table for what they leave open."""
    billions = billions_of_parameters(name)
    if tpot_ms is None:
        tpot_ms = _HOSTED_TPOT_MS if hosted else _tpot_ms(billions)
    # A hosted API balances load itself: our few requests do not slow it down.
    if prefill_ms_per_1k_tokens is None:
        per_billion = 1000.0 * _PREFILL_MS_PER_TOKEN_AND_BILLION
        prefill_ms_per_1k_tokens = 0.0 if hosted else per_billion * (billions or tpot_ms / 3.0)
    if tpot_ms_per_running is None:
        tpot_ms_per_running = 0.0 if hosted else tpot_ms * _GROWTH
    if ttft_ms is None:
        ttft_ms = _HOSTED_TTFT_MS if hosted else 30.0 + tpot_ms
    return LatencyPrior(
        tpot_s=tpot_ms / 1000.0,
        ttft_s=ttft_ms / 1000.0,
        prefill_s_per_token=prefill_ms_per_1k_tokens / 1e6,
        tpot_s_per_running=tpot_ms_per_running / 1000.0,
        slots=float(max_num_seqs) if max_num_seqs else (math.inf if hosted else DEFAULT_SLOTS),
        slots_told=max_num_seqs is not None,
    )


def _tpot_ms(billions: float | None) -> float:
    if billions is None:
        return _UNKNOWN_TPOT_MS
    smallest, largest = _TPOT_MS_BY_BILLIONS[0], _TPOT_MS_BY_BILLIONS[-1]
    if billions <= smallest[0]:
        return smallest[1]
    for (low, low_ms), (high, high_ms) in pairwise(_TPOT_MS_BY_BILLIONS):
        if billions <= high:
            share = math.log(billions / low) / math.log(high / low)
            return low_ms + share * (high_ms - low_ms)
    return largest[1]
