"""A decision in the shape in which LiteLLM's own auto routers leave theirs, to be shown wherever they are.

LiteLLM carries `routing_decision` of a request's metadata into spend logs, the Admin UI's routing card,
OpenTelemetry spans and every logging integration. Its fixed fields hold what they are made for; the whole
record stands beside them under `routebalance`. Where an auto router has chosen the model group and we the
deployment, its fields stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rb_litellm.telemetry.records.decision import MAX_NAME, DecisionRecord, Reason, as_json, measured_json

ROUTER_TYPE = "routebalance"
KEY = "routing_decision"
_DETAIL = "routebalance"
_BUCKETS = ("litellm_metadata", "metadata")
_CAUSES: dict[Reason, str] = {
    "joint": "joint score of quality, latency and cost",
    "only-candidate": "only candidate",
    "exploration": "exploration of a seldom chosen deployment",
    "fewest-open": "fewest open requests",
    "shadow": "LiteLLM's own strategy; RouteBalance only watches",
}


@dataclass(slots=True)
class RoutingDecision:
    """A decision in a request's metadata: what names it at once, its detail when that is written down."""

    decision: dict[str, Any]
    """For the metadata."""
    detail: dict[str, Any]
    signals: list[str]

    def complete(self, record: DecisionRecord) -> None:
        """Add the detail, once, in place: LiteLLM may have passed on what stands in the metadata."""
        if not self.detail:
            self.detail.update(as_json(record))
            self.signals.extend(_signals(record))


def told(
    requested: str, model: str, reason: Reason, score: float | None, request_kwargs: Mapping[str, Any]
) -> RoutingDecision:
    """A decision for the metadata of the request that it was made for, its detail still to come."""
    detail: dict[str, Any] = {}
    signals: list[str] = []
    others = _decision_of_another(request_kwargs)
    if others is not None:
        return RoutingDecision({**others, _DETAIL: detail}, detail, signals)
    decision: dict[str, Any] = {
        "router_model_name": requested[:MAX_NAME],
        "router_type": ROUTER_TYPE,
        "routed_model": model[:MAX_NAME],
        "cause": _CAUSES[reason],
        "signals": signals,
        _DETAIL: detail,
    }
    if score is not None:
        decision["score"] = round(score, 4)
    return RoutingDecision(decision, detail, signals)


def add_measured(kwargs: Mapping[str, Any], record: DecisionRecord) -> None:
    """Write what was measured into the decision that LiteLLM is about to log with these call details."""
    if record.outcome is None:
        return
    for holder in _logged(kwargs):
        decision = holder.get(KEY)
        detail = decision.get(_DETAIL) if isinstance(decision, Mapping) else None
        if not isinstance(detail, dict):
            continue
        if not detail:  # A copy that LiteLLM made before the detail was there.
            detail.update(as_json(record))
        # An earlier attempt's measurement says nothing of this one.
        if detail.get("attempt") == record.attempt:
            detail["measured"] = measured_json(record.outcome)


def _logged(kwargs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    params = kwargs.get("litellm_params")
    payload = kwargs.get("standard_logging_object")
    for holder, names in ((params, _BUCKETS), (payload, ("metadata",))):
        for name in names:
            metadata = holder.get(name) if isinstance(holder, Mapping) else None
            if isinstance(metadata, Mapping):
                yield metadata


def _decision_of_another(request_kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    for bucket in _BUCKETS:
        metadata = request_kwargs.get(bucket)
        # LiteLLM writes into nothing but dicts either; asking for any mapping takes long.
        decision = metadata.get(KEY) if isinstance(metadata, dict) else None
        if isinstance(decision, dict) and decision.get("router_type") not in (None, ROUTER_TYPE):
            return dict(decision)
    return None


def _signals(record: DecisionRecord) -> list[str]:
    """What weighed, in the few words that fit on the Admin UI's card."""
    said: list[str] = []
    if record.prediction is not None:
        p = record.prediction
        said += (
            f"quality {p.quality:.2f}",
            f"latency {p.e2e_s:.2f} s, of it waiting {p.wait_s:.2f} s",
            f"cost ${p.cost_usd:.6f}",
        )
    if record.weighing is not None:
        said.append(record.weighing.words)
    said.append(f"{record.candidates} candidates")
    for candidate in record.top:
        model, score = candidate["model"], candidate["score"]
        if model != record.model and score is not None:
            said.append(f"next model: {model} at {score:.2f}")
            break
    said += [f"{name} removed {count}" for name, count in record.removed.items()]
    if record.relaxed:
        said.append(f"relaxed: {', '.join(record.relaxed)}")
    if record.attempt:
        said.append(f"attempt {record.attempt + 1}")
    return said
