"""A cascade as it was chosen for one request."""

from __future__ import annotations

from dataclasses import dataclass

from rb_litellm.core.types import Prediction


@dataclass(frozen=True, slots=True)
class Compound:
    """Two deployments and a judge between them, with what is expected of all together."""

    first: int
    """Row of the deployment that answers first,"""
    second: int
    """and of the one that stands for the model that answers where the judge calls that poor."""
    score: float
    escalated: float
    """Probability that the second one is asked."""
    quality: float
    cost_usd: float
    e2e_s: float

    def expected(self, first: Prediction) -> Prediction:
        """The whole of it in the words of a prediction; `first` is that of the first stage."""
        return first._replace(quality=self.quality, cost_usd=self.cost_usd, e2e_s=self.e2e_s)
