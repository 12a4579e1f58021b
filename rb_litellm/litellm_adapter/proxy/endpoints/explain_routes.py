"""`POST /routebalance/explain`: how a request would be decided now, without sending it anywhere.

The body is that of the request, its controls included; headers count as they would there. Any key may ask
about the models that it may call, as it may have LiteLLM count the tokens of a request; of a group it sees
the members that the request would see. How often and how exactly is bounded (see `explain_limit`).
"""

from __future__ import annotations

import asyncio
import math
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rb_litellm.litellm_adapter.proxy.endpoints.authentication import authenticated
from rb_litellm.litellm_adapter.proxy.endpoints.explain_limit import ExplainLimit, coarse
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.litellm_adapter.request.explanation import inquiry
from rb_litellm.litellm_adapter.request.rights.caller import is_admin, owner_of_key
from rb_litellm.litellm_adapter.request.rights.controls import BadControls, take_in
from rb_litellm.litellm_adapter.request.rights.planner import planner_for

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rb_litellm.litellm_adapter.worker import Worker

_LIKE = "/utils/token_counter"
"""LiteLLM's own question about a request that is not sent: open to every key, nothing is reserved for it."""


def endpoints(worker: Worker, turns: Turns) -> APIRouter:
    """The endpoints of this file, for `routes.mount`."""
    from fastapi import APIRouter, Body, Depends, HTTPException, Request

    router = APIRouter()
    limit = ExplainLimit(worker.runtime.clock)
    sent, check = Body(), Depends(authenticated(like=_LIKE))

    # FastAPI reads annotations, which are strings here; its own types are given as they are.
    async def explain(request: Any, body: Any = sent, caller: Any = check) -> dict[str, Any]:
        """How this request would be decided now."""
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise HTTPException(400, {"error": "the body must be that of a request, with a `model`"})
        admin = is_admin(caller)
        if not admin and (wait_s := limit.wait_s(owner_of_key(caller), getattr(caller, "rpm_limit", None))):
            after = {"Retry-After": str(math.ceil(wait_s))}
            raise HTTPException(429, {"error": "too many explanations for this key"}, headers=after)
        try:
            # One after another: between two of them the loop serves requests.
            async with turns.one():
                answer = await _explain(request, body, caller)
                return answer if admin else coarse(answer)
        except BadControls as error:
            raise HTTPException(error.status, {"error": str(error)}) from None

    explain.__annotations__ |= {"request": Request}
    router.post("/explain")(explain)
    return router


async def _explain(request: Any, body: dict[str, Any], caller: Any) -> dict[str, Any]:
    from fastapi import HTTPException
    from litellm.proxy.auth.auth_checks import can_key_call_resolved_model
    from litellm.proxy.litellm_pre_call_utils import add_litellm_data_to_request

    server = sys.modules["litellm.proxy.proxy_server"]
    llm_router, model = getattr(server, "llm_router", None), body["model"]
    if llm_router is None:
        raise HTTPException(503, {"error": "the proxy has no models yet"})
    await can_key_call_resolved_model(
        model=model, llm_model_list=None, valid_token=caller, llm_router=llm_router
    )
    try:
        data = await add_litellm_data_to_request(
            data=dict(body),
            request=request,
            user_api_key_dict=caller,
            proxy_config=server.proxy_config,
            general_settings=server.general_settings,
            version=server.version,
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # LiteLLM reads fields and headers as what they should be.
        told = f"LiteLLM cannot read this request ({type(error).__name__})"
        raise HTTPException(400, {"error": told}) from None
    data["litellm_call_id"] = f"explain-{uuid4().hex}"
    take_in(data, caller, lambda: planner_for(data))
    messages, given = data.pop("messages", None), data.pop("input", None)
    if messages is None and data.get("prompt") is not None:
        messages = [{"role": "user", "content": data["prompt"]}]
    # What LiteLLM did to the request was a step by itself.
    await asyncio.sleep(0)
    with inquiry() as asked:
        try:
            await llm_router.async_get_available_deployment(
                model=data.pop("model"), request_kwargs=data, messages=messages, input=given
            )
        except Exception as error:  # noqa: BLE001
            # LiteLLM's own filters may leave nothing; that is an answer too.
            status = getattr(error, "status_code", None)
            raise HTTPException(
                status if isinstance(status, int) and 400 <= status < 500 else 400, {"error": str(error)}
            ) from None
    if asked.answer is None:
        raise HTTPException(400, {"error": f"model {model!r} is not routed by RouteBalance"})
    return {"model": model, **asked.answer}
