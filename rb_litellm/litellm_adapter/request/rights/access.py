"""`member_access: key`: keep the members of a group that the caller may also call directly.

LiteLLM checks access on the name that was asked for, before routing; a key that may call `auto` may
thereby reach every member of it. With `member_access: key` each member is put to LiteLLM's own check
of key, team, project and customer, and what it refuses is not a candidate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rb_litellm.litellm_adapter.request.rights.caller import caller_of


async def permitted(
    router: Any,
    model: str | None,
    deployments: Sequence[dict[str, Any]],
    request_kwargs: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """The deployments whose model group the caller may call, in their order.

    The name that was asked for needs no second check, and without a caller (the SDK) all may be used.

    Raises:
        ProxyException: LiteLLM's own refusal (401 or 403) when no member is left.
    """
    caller = caller_of(request_kwargs)
    if caller is None:
        return list(deployments)
    from litellm.proxy.auth.auth_checks import can_key_call_resolved_model

    names = [_public_name(deployment) for deployment in deployments]
    refusals: dict[str, Exception | None] = {}
    for group in dict.fromkeys(names):
        if group == model:
            refusals[group] = None
            continue
        try:
            await can_key_call_resolved_model(
                model=group, llm_model_list=None, valid_token=caller, llm_router=router
            )
            refusals[group] = None
        except Exception as refusal:  # noqa: BLE001  whatever the check says but yes is a no
            refusals[group] = refusal
    allowed = [d for d, name in zip(deployments, names, strict=True) if refusals[name] is None]
    if not allowed:
        raise _about(model, next((g, refusal) for g, refusal in refusals.items() if refusal is not None))
    return allowed


def _about(model: str | None, refused: tuple[str, Exception]) -> Exception:
    """LiteLLM's refusal of a member, as one of what was asked for: the caller need not know more."""
    member, refusal = refused
    message = getattr(refusal, "message", None)
    if isinstance(message, str):
        told = re.sub(rf"(?<![\w.-]){re.escape(member)}(?![\w.-])", lambda _: model or "", message)
        refusal.message = told  # type: ignore[attr-defined]
        refusal.args = (told, *refusal.args[1:])
    return refusal


def _public_name(deployment: Mapping[str, Any]) -> str:
    """The name a caller would ask for; a team's own deployments have another one inside LiteLLM."""
    return str((deployment.get("model_info") or {}).get("team_public_model_name") or deployment["model_name"])
