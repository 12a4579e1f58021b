"""Check for LiteLLM's trap on machines without internet: tokenizers that it asks the Hugging Face hub for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rb_litellm.doctor.configuration import Configuration
from rb_litellm.doctor.finding import Finding, warn
from rb_litellm.litellm_adapter.shared.upkeep.hub_stalls import REMEDY, asking_the_hub


def check(config: Configuration) -> Iterator[Finding]:
    """A finding where the hub would be asked; none where it is not."""
    settings = config.content.get("litellm_settings")
    off = isinstance(settings, Mapping) and settings.get("disable_hf_tokenizer_download") is True
    names = [] if off else asking_the_hub(config.entries)
    if names:
        yield warn(
            "tokenizers",
            f"LiteLLM loads the tokenizer for {', '.join(names[:3])} from the Hugging Face hub, on its event "
            "loop; on a machine without internet each answer waits many seconds for that",
            REMEDY,
        )
