"""Calls that we make on behalf of a request, paid by its key as LiteLLM's own sub-calls are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

_MODULE = "litellm.litellm_core_utils.internal_call_metadata"
_RESERVATION = "user_api_key_budget_reservation"


def metadata_of_subcall(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The request's metadata without what LiteLLM has set aside of its key's budget.

    That belongs to the request's own call: a further call that brings it along would close it, and the
    request's own spend would not be counted. Releases that set nothing aside have nothing to take out.
    """
    try:
        without = import_module(_MODULE).without_budget_reservation
    except (ImportError, AttributeError):
        return {name: value for name, value in metadata.items() if name != _RESERVATION}
    return dict(without(metadata))
