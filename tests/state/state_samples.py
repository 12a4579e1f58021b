"""Predictions for the tests: 200 tokens in 0.5 s + 200 x 20 ms unless said otherwise."""

import numpy as np

from rb_litellm.core.types import Prediction
from rb_litellm.state.exchange.wire import Told


def prediction(
    output_tokens: float = 200.0, ttft_s: float = 0.5, tpot_s: float = 0.02, wait_s: float = 0.0
) -> Prediction:
    return Prediction(
        quality=0.5,
        output_tokens=output_tokens,
        wait_s=wait_s,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        e2e_s=ttft_s + output_tokens * tpot_s,
        cost_usd=0.001,
    )


def told(in_flight: int = 1, name: str = "l d", note: bytes | None = None, up_s: float = 0.0) -> Told:
    """A worker with this many attempts on a deployment, each with 10 tokens to prefill and 200 to decode."""
    row = [in_flight, 10 * in_flight, 200 * in_flight, 50 * in_flight]
    return Told((name,), np.array([row], dtype=np.int64), up_s, note)
