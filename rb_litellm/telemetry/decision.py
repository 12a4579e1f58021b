"""The record of one decision, made once and used by everything that reports it. No prompt text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rb_litellm.core.types import Prediction

Reason = Literal["joint", "only-candidate", "fewest-open"]
"""How the deployment was found: by the joint score, because there was no other, or by the simple rule
that serves when something inside failed."""


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """Where one attempt was sent and what it was chosen by."""

    call_id: str
    attempt: int
    deployment: str
    model: str
    """Model group of the chosen deployment."""
    candidates: int
    reason: Reason
    duration_s: float
    """Our part of the pick, from the request's arrival at the strategy."""
    score: float | None = None
    prediction: Prediction | None = None


def response_headers(record: DecisionRecord) -> dict[str, str]:
    """The `x-routebalance-*` headers of a response."""
    headers = {
        "x-routebalance-deployment": record.deployment,
        "x-routebalance-model": record.model,
        "x-routebalance-candidates": str(record.candidates),
        "x-routebalance-reason": record.reason,
        "x-routebalance-decision-ms": f"{record.duration_s * 1000:.3f}",
    }
    if record.score is not None:
        headers["x-routebalance-score"] = f"{record.score:.4f}"
    if record.prediction is not None:
        predicted = record.prediction
        headers["x-routebalance-quality"] = f"{predicted.quality:.4f}"
        headers["x-routebalance-ttft-ms"] = f"{predicted.ttft_s * 1000:.1f}"
        headers["x-routebalance-e2e-ms"] = f"{predicted.e2e_s * 1000:.1f}"
        headers["x-routebalance-cost-usd"] = f"{predicted.cost_usd:.8f}"
    # A header value that a client or an operator could have shaped must not break the response.
    return {name: _printable(value) for name, value in headers.items()}


def _printable(value: str) -> str:
    return value.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
