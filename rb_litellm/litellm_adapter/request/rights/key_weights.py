"""Weights of deployments that a key or team brings along, in its `router_settings.weights`.

LiteLLM hands them to the pick as weights by model group and deployment id. A group that is named there is
split as it says: what it does not name, or gives 0, gets nothing of these requests. Where that leaves
nobody, the deployments' own weights count, as in LiteLLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rb_litellm.litellm_adapter.hosts.host import KEY_WEIGHTS

MAX_WEIGHT = 1e12
"""What is beyond is no weight."""


def of_key(
    entries: Sequence[dict[str, Any]], model: str | None, request_kwargs: Mapping[str, Any] | None
) -> tuple[Sequence[dict[str, Any]], dict[str, float] | None]:
    """The entries that the key's weights leave, and these weights by deployment id; None without any."""
    carried = None if request_kwargs is None else request_kwargs.get(KEY_WEIGHTS)
    if not carried or not isinstance(carried, Mapping):
        return entries, None
    left: list[dict[str, Any]] = []
    weights: dict[str, float] = {}
    for entry in entries:
        # A team's own deployments are named by what the team calls them, and so is the request.
        named = carried.get(entry.get("model_name")) or carried.get(model)
        if not isinstance(named, Mapping) or not named:
            left.append(entry)
            continue
        id_ = entry["model_info"]["id"]
        weight = named.get(id_)
        # Nobody has checked how large a whole number may be.
        if isinstance(weight, (int, float)) and 0.0 < weight < MAX_WEIGHT:
            left.append(entry)
            weights[id_] = float(weight)
    return (left, weights or None) if left else (entries, None)
