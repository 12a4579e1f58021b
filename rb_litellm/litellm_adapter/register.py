"""The strategy made known to LiteLLM: the host that fits the installed release, and the proxy's parts."""

from __future__ import annotations

import threading

from rb_litellm.litellm_adapter.hosts.choose import choose
from rb_litellm.litellm_adapter.hosts.host import set_current
from rb_litellm.litellm_adapter.proxy.endpoints.routes import Routes
from rb_litellm.litellm_adapter.proxy.hot_reload import HotReload
from rb_litellm.litellm_adapter.proxy.metrics_report import MetricsReport
from rb_litellm.litellm_adapter.proxy.shadow_evaluation import ShadowEvaluation
from rb_litellm.litellm_adapter.proxy.starting.start_line import StartLine
from rb_litellm.litellm_adapter.worker import Worker, add_part, worker
from rb_litellm.telemetry.records.log_lines import keep_lines_safe

__all__ = ["register", "worker"]

_registering = threading.Lock()


def _hot_reload(_: Worker) -> HotReload:
    return HotReload()


_PARTS = (MetricsReport, Routes, StartLine, ShadowEvaluation, _hot_reload)


def register() -> None:
    """Make `routing_strategy: routebalance` known to every Router of this process. Idempotent.

    Raises:
        UnsupportedLiteLLM: naming the release and what it lacks.
    """
    with _registering:
        keep_lines_safe()
        chosen = choose()
        chosen.install()
        set_current(chosen)
        for part in _PARTS:
            add_part(part)
