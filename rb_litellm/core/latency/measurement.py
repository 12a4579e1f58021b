"""Turn a closed attempt and its reported usage into measured TTFT and TPOT.

A stream shows both. An answer in one piece shows its total time only. For whoever looks at single answers it
is divided in the proportion that was predicted; learners use the total (`LatencyLearner`), because total
times over many lengths tell both parts and a single one does not.
"""

from __future__ import annotations

from rb_litellm.core.types import Outcome

_LONG_ANSWER = 8
"""From this many output tokens on, the total time of an answer in one piece measures TPOT, else TTFT."""


def measured(outcome: Outcome, output_tokens: int, cost_usd: float | None = None) -> Outcome:
    """The outcome with its output length (tokens) and the times (s) that follow from it.

    If the TTFT was seen, TPOT = (open - TTFT) / (L - 1). If not, both predictions are multiplied by the ratio
    of measured to predicted time at the true length. A long answer then measures TPOT, a short one TTFT.
    """
    steps = max(output_tokens - 1, 0)
    ttft, tpot = outcome.ttft_s, None
    if ttft is not None:
        if steps:
            tpot = max(outcome.open_s - ttft, 0.0) / steps
    elif outcome.predicted is not None:
        predicted = outcome.predicted
        total = predicted.ttft_s + steps * predicted.tpot_s
        stretch = outcome.open_s / total if total > 0.0 else 1.0
        if output_tokens >= _LONG_ANSWER:
            tpot = predicted.tpot_s * stretch
        else:
            ttft = predicted.ttft_s * stretch
    return outcome._replace(
        output_tokens=output_tokens,
        ttft_s=ttft,
        tpot_s=tpot,
        cost_usd=outcome.cost_usd if cost_usd is None else cost_usd,
        in_one_piece=outcome.ttft_s is None,
    )
