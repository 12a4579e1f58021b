"""How far measurements have lately moved from predictions, per model: the drift score.

For each figure the logarithm of measured / predicted is averaged exponentially, and the score is the
mean's magnitude: 0 says that predictions are right on average, ln 2 = 0.7 that they are out by a factor of
two. A cache, a new model version or another user's load on the same server all show up here.
"""

from __future__ import annotations

import math

from rb_litellm.core.types import Outcome, Prediction

_GAIN = 0.02
"""Weight of the latest ratio: the last fifty or so count."""
_REACH = math.log(32.0)
"""Ratios beyond a factor of 32 are taken as that, so that one odd request does not raise an alarm."""
MIN_MEASURED = 20
"""Measurements before which a score is zero: too few to tell."""


class Calibration:
    """Bounded by the number of models, which the caller bounds."""

    def __init__(self) -> None:
        self._mean: dict[tuple[str, str], tuple[float, int]] = {}

    def learn(self, model: str, predicted: Prediction, outcome: Outcome) -> None:
        """Compare one answered attempt with what was predicted of it."""
        pairs = (
            ("ttft", predicted.ttft_s, outcome.ttft_s),
            ("tpot", predicted.tpot_s, outcome.tpot_s),
            ("e2e", predicted.e2e_s, outcome.open_s),
            ("output_tokens", predicted.output_tokens, outcome.output_tokens),
        )
        for figure, expected, found in pairs:
            if found is None or found <= 0.0 or expected <= 0.0:
                continue
            ratio = min(max(math.log(found / expected), -_REACH), _REACH)
            mean, count = self._mean.get((model, figure), (0.0, 0))
            # Early on it is the plain mean.
            gain = max(_GAIN, 1.0 / (count + 1))
            self._mean[model, figure] = (mean + gain * (ratio - mean), count + 1)

    def drift(self) -> dict[tuple[str, str], float]:
        """The score by model and figure (`ttft`, `tpot`, `e2e`, `output_tokens`)."""
        return {key: abs(mean) if count >= MIN_MEASURED else 0.0 for key, (mean, count) in self._mean.items()}
