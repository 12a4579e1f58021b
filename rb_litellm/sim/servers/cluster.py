"""Clusters to simulate: tiers of servers, what they cost, and how fast they are.

The paper's cluster (RouteBalance, arXiv 2606.17949): 13 servers on 28 GPUs, four sizes of Qwen2.5. What
the paper gives is the time per output token at low load, price and hardware. How time grows with the
batch comes from public measurements of forward passes (Vidur, MLSys 2024; milliseconds by tokens of
the batch, attention left out), for the closest pair of model and GPU that was measured:

- 3B on an A30: phi-2 (2.7B) on an A40. 7B on an A30: Llama-2-7B on an A40. The A30 is not in the table; the
  A40 is its neighbour in memory bandwidth and in arithmetic.
- 14B on 4 V100: InternLM-20B on 4 A40, tensor parallel 4.
- 72B on 4 A100: Qwen-72B on 4 A100, tensor parallel 4, that is, the very same.

The first three curves are multiplied so that a lone sequence decodes at the paper's time per token.
The 72B model runs eagerly in the paper: there the GPU work is as measured and what is missing to the
paper's 47.4 ms is the launching of kernels, a constant per iteration.

Reading the KV cache takes (bytes per token) / (memory bandwidth of all its GPUs x 0.6); the cache has what
weights and activations leave of 90% of the memory (V100 of 16 GB, A100 of 80 GB). vLLM's defaults stand
for the rest: 256 sequences, 2,048 tokens per iteration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.sim.servers.instance import Hardware

_BATCH = (1, 16, 32, 64, 128, 256, 512, 1024, 2048)
_MEASURED_MS = {
    "a40,phi-2,1": (9.922, 10.682, 10.659, 11.156, 12.646, 16.586, 26.226, 54.402, 107.523),
    "a40,Llama-2-7b-hf,1": (23.938, 24.714, 26.452, 30.053, 30.279, 44.591, 71.132, 136.916, 259.591),
    "a40,internlm-20b,4": (18.542, 19.57, 19.743, 20.585, 23.348, 33.496, 56.4, 97.8, 204.962),
    "a100,Qwen-72B,4": (24.883, 26.734, 25.686, 27.289, 32.654, 46.626, 84.531, 184.911, 343.649),
}
LONE_CONTEXT = 256
"""Context at which a lone sequence shows the paper's time per token."""
_BANDWIDTH_SHARE = 0.6


@dataclass(frozen=True)
class Tier:
    """Servers of one model on one hardware."""

    name: str
    model: str
    instances: int
    hardware: Hardware
    input_usd_per_million: float
    output_usd_per_million: float
    quality: float
    """Mean answer quality, a prior for where no predictor speaks."""
    output_tokens: float
    """Mean length of an answer, likewise."""
    network_s: float = 0.001
    """Between the router and a server, one way."""
    cached_usd_per_million: float | None = None
    """Price of input tokens that are cached; None for that of the others."""
    like: str | None = None
    """The model whose answers the tier gives, where that is not its own."""

    @property
    def tpot_s(self) -> float:
        """Time per output token of a lone sequence."""
        return self.hardware.iteration_s(1, LONE_CONTEXT)

    def prior(self) -> LatencyPrior:
        """What an operator would write down for this tier after a glance at its data sheet."""
        hardware = self.hardware
        full = hardware.max_batched_tokens
        return LatencyPrior(
            tpot_s=self.tpot_s,
            ttft_s=hardware.iteration_s(32),
            prefill_s_per_token=(hardware.iteration_s(full) - hardware.iteration_s(full // 8))
            / (full * 7 / 8),
            tpot_s_per_running=(hardware.iteration_s(64, 64 * LONE_CONTEXT) - self.tpot_s) / 63.0,
            slots=float(hardware.max_num_seqs),
        )

    def deployments(self) -> list[Deployment]:
        """One deployment per server, ids `model-1`, `model-2`, ..."""
        cached = self.cached_usd_per_million
        return [
            Deployment(
                id=f"{self.model}-{number}",
                group=self.model,
                model=f"hosted_vllm/{self.model}",
                tier=self.name,
                prior=self.prior(),
                input_usd_per_token=self.input_usd_per_million / 1e6,
                output_usd_per_token=self.output_usd_per_million / 1e6,
                cached_usd_per_token=math.nan if cached is None else cached / 1e6,
                quality=self.quality,
                output_tokens=self.output_tokens,
                like=self.like,
            )
            for number in range(1, self.instances + 1)
        ]


@dataclass(frozen=True)
class Cluster:
    """All tiers that requests may go to."""

    name: str
    tiers: tuple[Tier, ...]

    def tier(self, name: str) -> Tier:
        """The tier of that name.

        Raises:
            KeyError: there is none; names those that are.
        """
        for tier in self.tiers:
            if tier.name == name:
                return tier
        raise KeyError(
            f"no tier {name!r} in cluster {self.name!r}; there are {', '.join(t.name for t in self.tiers)}"
        )


def _hardware(
    row: str,
    tpot_ms: float,
    kv_bytes_per_token: int,
    gb_per_s: float,
    kv_tokens: int,
    constant_overhead: bool = False,
) -> Hardware:
    measured = _MEASURED_MS[row]
    attention_s = kv_bytes_per_token / (gb_per_s * 1e9 * _BANDWIDTH_SHARE)
    lone_s = tpot_ms / 1000.0 - attention_s * LONE_CONTEXT
    if constant_overhead:
        scale, constant_s = 1.0, lone_s - measured[0] / 1000.0
    else:
        scale, constant_s = lone_s / (measured[0] / 1000.0), 0.0
    # A larger batch is never faster; small wiggles of the measurement are flattened.
    curve, highest = [], 0.0
    for tokens, ms in zip(_BATCH, measured, strict=True):
        highest = max(highest, ms)
        curve.append((tokens, scale * highest / 1000.0 + constant_s))
    return Hardware(tuple(curve), attention_s, kv_tokens)


PAPER_CLUSTER = Cluster(
    "paper",
    (
        Tier(
            "paper-3b", "qwen2.5-3b", 3,
            _hardware("a40,phi-2,1", 12.3, 36_864, 933.0, 380_000),
            0.06, 0.06, quality=0.30, output_tokens=167.0,
        ),
        Tier(
            "paper-7b", "qwen2.5-7b", 5,
            _hardware("a40,Llama-2-7b-hf,1", 20.6, 57_344, 933.0, 85_000),
            0.07, 0.07, quality=0.51, output_tokens=147.0,
        ),
        Tier(
            "paper-14b", "qwen2.5-14b", 3,
            _hardware("a40,internlm-20b,4", 18.4, 196_608, 3_600.0, 122_000),
            0.15, 0.15, quality=0.65, output_tokens=165.0,
        ),
        Tier(
            "paper-72b", "qwen2.5-72b", 2,
            _hardware("a100,Qwen-72B,4", 47.4, 327_680, 8_156.0, 412_000, constant_overhead=True),
            0.38, 0.40, quality=0.71, output_tokens=161.0,
        ),
    ),
)  # fmt: skip
"""The paper's 13 servers. Qualities and lengths are the means of the FuseChat 1B, 3B, 7B and 9B models on
AlpacaEval 2, the lengths times 0.342 so that an answer has 160 tokens, as the paper's times imply."""
