"""One line at start in every worker: for what RouteBalance is on, by what it decides, who shares its load."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rb_litellm.core.decision.scoring import PRESETS, STANDARD
from rb_litellm.litellm_adapter.hosts.host import current
from rb_litellm.litellm_adapter.proxy.status import strategies
from rb_litellm.litellm_adapter.shared.proxy_server import current_router
from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask
from rb_litellm.version import __version__

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.worker import Worker

LOOK_EVERY_S = 0.5
_GROUPS = 8
"""Groups that the line names."""
_log = logging.getLogger("rb_litellm")


class StartLine:
    """Says it once the proxy of this process has a Router that we route for."""

    def __init__(self, worker: Worker) -> None:
        self._runtime = worker.runtime
        self._said = False
        self._timer = PeriodicTask(LOOK_EVERY_S, self._look)

    def ensure_started(self) -> None:
        """Look in the current loop. Cheap."""
        self._timer.ensure_started()

    def _look(self) -> None:
        if self._said:
            return
        try:
            router = current_router()
            groups = strategies(router)
            sharing = self._runtime.sharing
            if not groups or sharing.status() is None:
                return
            self._said = True
            shown, predictors = sharing.shown, self._runtime.predictor_versions()
            _log.warning("%s", start_line(groups, predictors, shown))
            workers = _workers()
            if not shown and workers > 1:
                _log.warning(
                    "RouteBalance: %d workers run without Redis: each knows its own load only, so bursts "
                    "meet on one server. Name a Redis (router_settings.redis_host or redis.url), or run one "
                    "worker",
                    workers,
                )
        except Exception as error:  # noqa: BLE001  a line that cannot be said must not stop the proxy
            self._said = True
            self._runtime.failed("start line", error)


def start_line(groups: list[dict[str, Any]], predictors: list[str], redis: str) -> str:
    """The line; `redis` is the address as it may be shown, empty for a worker alone."""
    told = "; ".join(_group(group) for group in groups[:_GROUPS])
    more = f"; and {len(groups) - _GROUPS} more" if len(groups) > _GROUPS else ""
    line = type(current()).__name__
    return (
        f"RouteBalance {__version__} is on in worker {os.getpid()} for {told}{more}. "
        f"Predictor: {', '.join(predictors) or 'none, priors alone'}. "
        f"Load: {f'shared through {redis}' if redis else 'of this worker alone'}. "
        f"litellm {version('litellm')}, by {line}"
    )


def _group(group: Mapping[str, Any]) -> str:
    models = group["models"]
    what = f"{group['group']} ({', '.join(models[:_GROUPS])})" if group["group"] else "all other models"
    arguments = group["arguments"]
    mode = "" if arguments.get("mode", "active") == "active" else f", {arguments['mode']} mode"
    return f"{what} with weights {_weights(arguments.get('weights', STANDARD))}{mode}"


def _weights(stated: object) -> str:
    if isinstance(stated, str):
        preset = PRESETS.get(stated)
        return (
            stated
            if preset is None
            else f"{stated} ({preset.quality:g}, {preset.latency:g}, {preset.cost:g})"
        )
    if isinstance(stated, Mapping):
        return ", ".join(f"{name} {value}" for name, value in stated.items())
    return str(stated)


def _workers() -> int:
    # LiteLLM's command sets it for its workers, whatever named their number.
    stated = os.environ.get("NUM_WORKERS", "").strip()
    return int(stated) if stated.isdigit() else 1
