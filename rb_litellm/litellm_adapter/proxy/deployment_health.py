"""How the deployments of this worker fare: what failed of late, what LiteLLM keeps out, what drifts.

Cooldowns are LiteLLM's and may stand in Redis. They are read in the background of whoever looks on, so that a
snapshot waits for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rb_litellm.core.latency.drift import WORDS
from rb_litellm.core.latency.learning.evidence import Evidence, evidence_of
from rb_litellm.litellm_adapter.hosts.host import Cooldown, current

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.runtime import Runtime

RECENT_S = 300.0
"""Outcomes that are older say nothing of now."""
READ_EVERY_S = 2.0
_TIMEOUT_S = 1.0
_FAILURES = (Evidence.FAILED, Evidence.CENSORED, Evidence.LIMITED)
_log = logging.getLogger("rb_litellm")


@dataclass(slots=True)
class _Tally:
    answered: int = 0
    failed: int = 0
    failing: int = 0
    """Failures in a row, the last one the latest."""
    error: str | None = None
    error_at_s: float = 0.0


def health_of(runtime: Runtime, ids: Sequence[str], now: float) -> list[dict[str, Any]]:
    """For each deployment: attempts of the last RECENT_S that were answered or failed, last error, drift."""
    tallies: dict[str, _Tally] = {}
    for outcome in runtime.outcomes:
        if outcome.at_s is None or now - outcome.at_s > RECENT_S:
            continue
        tally = tallies.setdefault(outcome.deployment, _Tally())
        if evidence_of(outcome) in _FAILURES:
            tally.failed += 1
            tally.failing += 1
            tally.error, tally.error_at_s = outcome.error or outcome.closed_by, outcome.at_s
        elif outcome.error is None:
            tally.answered += 1
            tally.failing = 0
    with runtime.lock:
        drifting = [(name, WORDS[kind], cusum.ratio) for name, kind, cusum in runtime.drift if cusum.drifting]
    drift: dict[str, dict[str, float]] = {}
    for name, figure, ratio in drifting:
        drift.setdefault(name, {})[figure] = round(ratio, 2)
    return [_as_json(tallies.get(id_, _Tally()), drift.get(id_, {}), now) for id_ in ids]


def _as_json(tally: _Tally, drift: Mapping[str, float], now: float) -> dict[str, Any]:
    error = (
        None
        if tally.error is None
        else {"error": tally.error, "ago_s": round(max(now - tally.error_at_s, 0.0), 1)}
    )
    counts = {"answered": tally.answered, "failed": tally.failed, "failing": tally.failing}
    return {**counts, "last_error": error, "drift": dict(drift)}


class Cooldowns:
    """LiteLLM's cooldowns as they were read last, at most READ_EVERY_S ago while somebody looks."""

    def __init__(self, router: Callable[[], Any], clock: Callable[[], float]) -> None:
        self._router = router
        self._clock = clock
        self._read_s = float("-inf")
        self._held: Mapping[str, Cooldown] = {}

    async def refresh(self) -> None:
        """Read them anew where that is due; what fails leaves none."""
        now = self._clock()
        router = self._router()
        if router is None or now - self._read_s < READ_EVERY_S:
            return
        self._read_s = now
        ids = [str(entry["model_info"]["id"]) for entry in router.model_list or ()]
        try:
            self._held = await asyncio.wait_for(current().cooldowns(router, ids), _TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  the page shows the rest without them
            self._held = {}
            _log.debug("RouteBalance: LiteLLM's cooldowns cannot be read: %s", error)

    def of(self, id_: str) -> dict[str, Any] | None:
        """The cooldown of a deployment, None where it has none."""
        held = self._held.get(id_)
        left_s = 0.0 if held is None else held.until_s - time.time()
        if held is None or left_s <= 0.0:
            return None
        return {"left_s": round(left_s, 1), "status": held.status}
