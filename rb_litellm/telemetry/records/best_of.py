"""A request that one model answers several times: what is expected of it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from rb_litellm.core.best_of.candidate import Samples
from rb_litellm.telemetry.records.cascade import plain_usd

Became = Literal["picked", "agreed", "unjudged", "judge-failed", "over-budget"]
"""The judge has picked one; all were alike, or only one could be used; nobody could judge; the judge failed;
or what the request may cost did not pay for a verdict. But for the first, the client has the first answer."""


@dataclass(slots=True)
class BestOfReport:
    """Of one request."""

    became: Became
    call_id: str
    """Of the call whose answer the client has."""
    answers: int
    usd: float = 0.0
    """What all its calls together cost."""

    def headers(self) -> dict[str, str]:
        """The `x-routebalance-best-of*` headers."""
        return {
            "x-routebalance-best-of": self.became,
            "x-routebalance-best-of-answers": str(self.answers),
            "x-routebalance-best-of-usd": plain_usd(self.usd),
        }


class BestOfRecord(TypedDict):
    """How many answers are asked for, and what is expected of them and the judge together."""

    answers: int
    score: float
    quality: float
    e2e_s: float
    cost_usd: float


def best_of_record(samples: Samples) -> BestOfRecord:
    """What was chosen in plain JSON values, rounded."""
    return {
        "answers": samples.n,
        "score": round(samples.score, 6),
        "quality": round(samples.quality, 4),
        "e2e_s": round(samples.e2e_s, 4),
        "cost_usd": round(samples.cost_usd, 10),
    }
