"""What RouteBalance noted in a logged call's metadata when it decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rb_litellm.logs.spend_logs import LoggedCall


def decision_of(call: LoggedCall) -> Mapping[str, Any]:
    """The decision record, empty where RouteBalance did not decide."""
    if "routebalance" not in call.metadata_text:
        return {}
    decision = call.metadata.get("routing_decision")
    detail = decision.get("routebalance") if isinstance(decision, Mapping) else None
    return detail if isinstance(detail, Mapping) else {}


def decided_group(call: LoggedCall) -> str:
    """Model group that RouteBalance chose for the call, empty where it did not."""
    model = decision_of(call).get("model")
    return model if isinstance(model, str) else ""
