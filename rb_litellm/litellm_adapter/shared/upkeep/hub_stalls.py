"""LiteLLM's trap on machines without internet: a tokenizer that it asks the Hugging Face hub for.

For a model name, or a deployment id, with `llama-2`, `llama-3` or `replicate` in it, LiteLLM counts tokens
with a tokenizer of that hub and loads it on its event loop. Where the hub cannot be reached it tries again at
each answer, and all requests of the worker stand still meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

REMEDY = "set litellm_settings.disable_hf_tokenizer_download: true"
_NAMES = ("llama-2", "llama-3", "replicate")
_log = logging.getLogger("rb_litellm")


def asking_the_hub(deployments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Models and ids among these LiteLLM entries for which the hub is asked."""
    found: dict[str, None] = {}
    for entry in deployments:
        params, info = entry.get("litellm_params") or {}, entry.get("model_info") or {}
        for name in (params.get("model"), info.get("id"), info.get("base_model")):
            if isinstance(name, str) and any(part in name.lower() for part in _NAMES):
                found[name] = None
    return list(found)


def hub_is_off() -> bool:
    """Whether this process's LiteLLM never asks the hub."""
    import litellm

    return getattr(litellm, "disable_hf_tokenizer_download", None) is True


class HubNotice:
    """Says it once at start, and again when there are other names."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def tell(self, deployments: Sequence[Mapping[str, Any]], off: bool) -> None:
        """A Router with these entries will be served; `off` says that the download is switched off."""
        names = [] if off else asking_the_hub(deployments)
        if names and names != self._said:
            self._said = names
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            _log.warning(
                "RouteBalance: for %s%s LiteLLM loads a tokenizer from the Hugging Face hub, on its event "
                "loop. Without internet each answer waits for that: %s",
                names[0][:128],
                more,
                REMEDY,
            )
