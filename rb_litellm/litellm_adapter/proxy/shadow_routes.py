"""`GET /routebalance/shadow`: what shadow mode would have changed, over this worker's recent decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rb_litellm.telemetry.decision import as_json
from rb_litellm.telemetry.shadow import summarise

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rb_litellm.litellm_adapter.runtime import Runtime


def endpoints(runtime: Runtime) -> APIRouter:
    """The endpoints of this file, for `routes.mount`."""
    from fastapi import APIRouter, Depends

    from rb_litellm.litellm_adapter.proxy.routes import authenticated

    router = APIRouter()

    @router.get("/shadow", dependencies=[Depends(authenticated())])
    async def shadow() -> dict[str, Any]:
        """What would have changed, over the recent decisions of the worker that answers."""
        with runtime.lock:
            recent = [as_json(one.record) for one in runtime.publisher.log.recent()]
        return summarise(recent)

    return router
