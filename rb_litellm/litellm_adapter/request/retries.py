"""A request that is sent again after a failure: where it may go, and how often that may still happen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rb_litellm.core.limits.availability import RETRIES
from rb_litellm.litellm_adapter.request.waiting.pending import Entry


def untried(healthy: Sequence[Entry], tried: Collection[str]) -> Sequence[Entry]:
    """A retry stays away from deployments that its call has failed on while there are others."""
    if not tried:
        return healthy
    return [entry for entry in healthy if entry["model_info"]["id"] not in tried] or healthy


def retries_left(router: Any, request_kwargs: Mapping[str, Any] | None, tried: Collection[str]) -> int:
    """How often LiteLLM will send a request again that has failed on these: `num_retries` of the request,
    else of the router."""
    stated = (request_kwargs or {}).get("num_retries")
    if not isinstance(stated, int):
        stated = getattr(router, "num_retries", None)
    return max((stated if isinstance(stated, int) else RETRIES) - len(tried), 0)
