"""The `x-routebalance-*` headers of a response: where it went and why."""

from __future__ import annotations

from rb_litellm.telemetry.records.decision import DecisionRecord

MAX_VALUE = 512
"""Characters of one header's value."""


def response_headers(record: DecisionRecord, spent_usd: float | None = None) -> dict[str, str]:
    """The `x-routebalance-*` headers of a response; `spent_usd` is its cost, if that is known yet."""
    headers = {
        "x-routebalance-deployment": record.deployment,
        "x-routebalance-model": record.model,
        "x-routebalance-candidates": str(record.candidates),
        "x-routebalance-reason": record.reason,
        "x-routebalance-decision-ms": f"{record.duration_s * 1000:.3f}",
        "x-routebalance-proxy-ms": f"{record.proxy_s * 1000:.1f}",
    }
    if record.score is not None:
        headers["x-routebalance-score"] = f"{record.score:.4f}"
    if record.prediction is not None:
        predicted = record.prediction
        headers["x-routebalance-quality"] = f"{predicted.quality:.4f}"
        headers["x-routebalance-ttft-ms"] = f"{predicted.ttft_s * 1000:.1f}"
        headers["x-routebalance-e2e-ms"] = f"{predicted.e2e_s * 1000:.1f}"
        if record.priced:
            headers["x-routebalance-cost-usd"] = f"{predicted.cost_usd:.8f}"
    if record.effort:
        headers["x-routebalance-effort"] = record.effort
    if record.targets:
        headers["x-routebalance-targets"] = record.targets
    if record.day:
        headers["x-routebalance-day"] = record.day
    if record.minute:
        headers["x-routebalance-minute"] = record.minute
    if record.held:
        headers["x-routebalance-held"] = record.held
    if record.budget_usd is not None:
        headers["x-routebalance-budget-usd"] = f"{record.budget_usd:.10g}"
        if spent_usd is not None:
            headers["x-routebalance-spent-usd"] = f"{spent_usd:.10f}".rstrip("0")
    if record.max_tokens is not None:
        headers["x-routebalance-max-tokens"] = str(record.max_tokens)
    if record.would is not None:
        headers["x-routebalance-would-deployment"] = record.would["deployment"]
        headers["x-routebalance-would-model"] = record.would["model"]
    if record.relaxed:
        headers["x-routebalance-relaxed"] = ",".join(record.relaxed)
    # A header value that comes from a client or an operator must not break the response.
    return {name: header_value(value) for name, value in headers.items()}


def header_value(value: str) -> str:
    """The text as a header may carry it: visible ASCII and single spaces, none at its ends."""
    return "".join(c if " " <= c <= "~" else "?" for c in value[:MAX_VALUE]).strip()
