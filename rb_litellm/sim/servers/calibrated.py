"""A server as `routebalance calibrate` has measured it, as hardware to simulate.

The curve of a forward pass holds the measured times themselves and not the fitted form: up to the largest
batch the time per token of so many sequences, beyond it the time to first token of so many prompt tokens.
What the first token takes beyond its passes is spent on the way to the server and back. Where prompts of only
one length were measured, longer ones take the time per token that routing assumes of such a server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rb_litellm.calibration.document import Document, read_document
from rb_litellm.core.latency.forecast import LatencyPrior, effective_tokens
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.sim.servers.instance import Hardware

_TOKENS_PER_ITERATION = 2048
_NO_LIMIT = 1_000_000_000
"""Tokens of a KV cache whose size the server does not tell."""
_SLOTS = 256
"""Of a server that had more than were tried: vLLM's default."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One measured server."""

    hardware: Hardware
    network_s: float
    """Between the router and the server, one way."""
    prior: LatencyPrior
    """What the lines say that `calibrate` writes for LiteLLM's configuration."""


def calibrated(file: Path) -> Calibrated:
    """The server of a file that `routebalance calibrate --out` wrote.

    Raises:
        ValueError: the file holds none; names it and what is wrong.
    """
    found = read_document(file)
    slots = found.slots or max(_SLOTS, found.most_asked)
    told = found.settings()
    assumed = latency_prior(
        found.model,
        hosted=False,
        tpot_ms=found.tpot_form_ms.alone,
        ttft_ms=found.ttft_ms.base,
        prefill_ms_per_1k_tokens=told.get("prefill_ms_per_1k_tokens"),
        tpot_ms_per_running=told.get("tpot_ms_per_running"),
    )
    hardware = Hardware(
        curve=_curve(found, assumed),
        attention_s_per_context_token=0.0,
        kv_tokens=found.kv_tokens or _NO_LIMIT,
        max_num_seqs=slots,
        max_batched_tokens=_TOKENS_PER_ITERATION,
        prefix_cache=found.prefix_cache,
    )
    prior = replace(assumed, slots=float(slots))
    return Calibrated(hardware, _way_s(found), prior)


def _way_s(found: Document) -> float:
    return max(found.ttft_ms.base - found.tpot_form_ms.alone, 0.0) / 2000.0


def _curve(found: Document, form: LatencyPrior) -> tuple[tuple[int, float], ...]:
    largest, way_ms = max(found.tpot_ms), 2000.0 * _way_s(found)
    told = {1: found.tpot_form_ms.alone, **found.tpot_ms}
    for tokens, ms in found.ttft_measured_ms.items():
        if largest < tokens <= _TOKENS_PER_ITERATION:
            told[tokens] = ms - way_ms
    # Where no prompt was long enough, the form goes on from the longest one.
    shorter = {n: ms for n, ms in found.ttft_measured_ms.items() if n <= _TOKENS_PER_ITERATION}
    longest, longest_ms = max(shorter.items(), default=(0, found.ttft_ms.base))
    more = effective_tokens(_TOKENS_PER_ITERATION, form.ridge_tokens) - effective_tokens(
        longest, form.ridge_tokens
    )
    full_ms = longest_ms + 1000.0 * form.prefill_s_per_token * more
    told.setdefault(_TOKENS_PER_ITERATION, full_ms - way_ms)
    curve, highest = [], 0.0
    for tokens, ms in sorted(told.items()):
        # A larger batch is never faster; small wiggles of the measurement are flattened.
        highest = max(highest, ms)
        curve.append((tokens, highest / 1000.0))
    return tuple(curve)
