"""A deployment at each level of reasoning effort that its operator states and LiteLLM says that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rb_litellm.config.deployment import EffortSettings
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.shared.entries.provider_fields import holders, reaches

_WORDS = (
    "reasoning_effort",
    "thinking",
    "output_config",
    "thinking_budget",
    "enable_thinking",
    "chat_template_kwargs",
)
"""Fields by which a client, or a deployment's `litellm_params`, say how much is to be thought."""
_STATED_BY_MODEL = "reasoning_effort_levels"


def levels_of(
    deployment: Deployment,
    efforts: Mapping[Any, EffortSettings],
    params: Mapping[str, Any],
    mapped: Mapping[str, Any],
    warn: Callable[[str, str], None],
) -> tuple[Deployment, ...]:
    """One candidate for each level, in the order stated; `warn(subject, message)` is told of those left out.

    `mapped` is the model's entry in LiteLLM's map of models.
    """
    where = f"model_info.routebalance.efforts of {deployment.group}"
    if effort_asked(params) is not None:
        fixed = next((name for name in (*_WORDS, "reasoning") if params.get(name) is not None), "extra_body")
        warn(f"efforts:{deployment.id}", f"{where} is ignored: its litellm_params fix {fixed}")
        return ()
    if _refused_for_its_id(deployment, params):
        warn(
            f"efforts:{deployment.id}",
            f"{where} is ignored: LiteLLM 1.108 refuses reasoning_effort where model_info.id is the name of "
            "a model with prices of its own; give it another id (or litellm_params.allowed_openai_params: "
            "[reasoning_effort])",
        )
        return ()
    takes = _passed_on(params) or reaches("reasoning_effort", deployment.model, params)
    if not deployment.generates or not takes:
        warn(
            f"efforts:{deployment.id}",
            f"{where} is ignored: LiteLLM says that {deployment.model} takes no reasoning_effort (with "
            "litellm_params.allowed_openai_params: [reasoning_effort] it passes it on all the same)",
        )
        return ()
    refused = [name for name in efforts if not _takes_level(name, mapped)]
    if refused:
        warn(
            f"efforts:{deployment.id}",
            f"{where}: {', '.join(refused)} left out: LiteLLM says that {deployment.model} does not take it",
        )
    return tuple(
        replace(deployment, effort=name, quality=level.quality, output_tokens=level.output_tokens)
        for name, level in efforts.items()
        if name not in refused
    )


def effort_asked(params: Mapping[str, Any]) -> str | None:
    """The level that a request or `litellm_params` ask for, empty for one in other words; None for none."""
    for holder in holders(params):
        for name in _WORDS:
            given = holder.get(name)
            if given is not None:
                return given if name == "reasoning_effort" and isinstance(given, str) else ""
        reasoning = holder.get("reasoning")
        if reasoning is not None and not isinstance(reasoning, Mapping):
            return ""
        effort = reasoning.get("effort") if reasoning else None
        if effort is not None:
            return effort if isinstance(effort, str) else ""
        if reasoning and reasoning.keys() & {"max_tokens", "enabled", "exclude"}:
            return ""
    return None


def _refused_for_its_id(deployment: Deployment, params: Mapping[str, Any]) -> bool:
    """Whether LiteLLM will call a request unsupported that it supports until the first one comes."""
    provider, _, name = deployment.model.partition("/")
    priced = all(params.get(f"{side}_cost_per_token") is not None for side in ("input", "output"))
    return provider == "openai" and name == deployment.id and priced and not _passed_on(params)


def _passed_on(params: Mapping[str, Any]) -> bool:
    allowed = params.get("allowed_openai_params")
    return isinstance(allowed, (list, tuple)) and "reasoning_effort" in allowed


def _takes_level(level: str, mapped: Mapping[str, Any]) -> bool:
    """What LiteLLM's map says of this level; a model of which it says nothing is asked."""
    stated = mapped.get(_STATED_BY_MODEL)
    if isinstance(stated, (list, tuple)):
        return level in stated
    return mapped.get(f"supports_{level}_reasoning_effort") is not False
