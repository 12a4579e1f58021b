"""Predictions for the tests: 200 tokens in 0.5 s + 200 x 20 ms unless said otherwise."""

from rb_litellm.core.types import Prediction


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
