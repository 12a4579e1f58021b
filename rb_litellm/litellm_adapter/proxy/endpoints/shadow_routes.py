"""`GET /routebalance/shadow`: what shadow mode would have changed, over this worker's recent decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rb_litellm.litellm_adapter.proxy.endpoints.authentication import for_admins
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.telemetry.comparing.shadow import summarise
from rb_litellm.telemetry.records.decision import as_json

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rb_litellm.litellm_adapter.worker import Worker


def endpoints(worker: Worker, turns: Turns) -> APIRouter:
    """The endpoints of this file, for `routes.mount`."""
    from fastapi import APIRouter, Depends

    router, accounting = APIRouter(), worker.accounting

    @router.get("/shadow", dependencies=[Depends(for_admins())])
    async def shadow() -> dict[str, Any]:
        """What would have changed, over the recent decisions of the worker that answers."""
        await accounting.all_written()
        with worker.runtime.lock:
            recent = accounting.publisher.written.recent()
        compared = [one.record for one in recent if one.record.would is not None]
        return summarise(await turns.each(compared, as_json))

    return router
