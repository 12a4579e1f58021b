"""A request that may be answered twice: what is expected of it in records, what became of it in headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.fleet import Deployment

_MAX_NAME = 128

HIDDEN = "routebalance_judged"
"""Where what became of a request stands among LiteLLM's hidden parameters of an answer: no client sees it."""

Became = Literal["kept", "escalated", "unjudged", "judge-failed", "second-failed", "over-budget"]
"""The first answer was accepted; the second one was given; nobody could judge; the judge or the second model
failed; or what the request or its key may cost did not pay for more. Only `escalated` is a second answer."""


@dataclass(slots=True)
class CascadeReport:
    """Of one request."""

    became: Became
    call_id: str
    """Of the call whose answer the client has."""
    usd: float = 0.0
    """What all its calls together cost."""

    def headers(self) -> dict[str, str]:
        """The `x-routebalance-cascade*` headers."""
        return {
            "x-routebalance-cascade": self.became,
            "x-routebalance-cascade-usd": plain_usd(self.usd),
        }


def plain_usd(usd: float) -> str:
    """A cost as a header has it."""
    return f"{usd:.10f}".rstrip("0").rstrip(".")


class _Level(TypedDict, total=False):
    effort: str
    """The level of reasoning effort, if the second stage has one."""


class CascadeRecord(_Level):
    """What follows where a judge calls the answer poor, and what is expected of all together."""

    model: str
    """Model group that answers then."""
    escalated: float
    """Probability of that."""
    score: float
    quality: float
    e2e_s: float
    cost_usd: float


def cascade_record(compound: Compound, second: Deployment) -> CascadeRecord:
    """The chosen pair in plain JSON values, rounded."""
    record: CascadeRecord = {
        "model": second.group[:_MAX_NAME],
        "escalated": round(compound.escalated, 4),
        "score": round(compound.score, 6),
        "quality": round(compound.quality, 4),
        "e2e_s": round(compound.e2e_s, 4),
        "cost_usd": round(compound.cost_usd, 10),
    }
    if second.effort:
        record["effort"] = second.effort
    return record
