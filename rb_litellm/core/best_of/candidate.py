"""Best of n as it was chosen for one request."""

from __future__ import annotations

from dataclasses import dataclass

from rb_litellm.core.types import Prediction


@dataclass(frozen=True, slots=True)
class Samples:
    """A deployment that answers several times, with what is expected of that."""

    row: int
    """Of the deployment."""
    n: int
    """Answers that it is asked for."""
    score: float
    one: float
    """Quality of one answer,"""
    any_right: float
    """and the probability that one of all is right."""
    call: Prediction
    """Of the call that asks for them: length and quality of one answer, the time until all are there, the
    cost of all."""
    quality: float
    cost_usd: float
    e2e_s: float

    @property
    def judge_usd(self) -> float:
        """What its verdict is expected to cost."""
        return self.cost_usd - self.call.cost_usd

    def expected(self) -> Prediction:
        """The whole of it, the judge's part included, in the words of a prediction."""
        return self.call._replace(quality=self.quality, cost_usd=self.cost_usd, e2e_s=self.e2e_s)
