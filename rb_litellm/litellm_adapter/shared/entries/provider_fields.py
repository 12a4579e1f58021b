"""Which fields of a request reach a deployment's provider, by what LiteLLM says, and where they may stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def reaches(field: str, model: str, params: Mapping[str, Any]) -> bool:
    """Whether LiteLLM passes a field on to the provider of a deployment with these `litellm_params`."""
    import litellm

    # Its Router and its proxy set it, too: else it prints a hint for each provider that it does not know.
    litellm.suppress_debug_info = True
    try:
        name, provider, _, _ = litellm.get_llm_provider(
            model, params.get("custom_llm_provider"), params.get("api_base"), None
        )
        known = litellm.get_supported_openai_params(name, provider)
    except Exception:  # noqa: BLE001  of a provider that it does not know, LiteLLM says nothing
        return False
    return known is not None and field in known


def holders(params: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Where fields stand, in a request or in `litellm_params`: there itself, and in its `extra_body`."""
    extra = params.get("extra_body")
    return (params, extra) if isinstance(extra, Mapping) else (params,)
