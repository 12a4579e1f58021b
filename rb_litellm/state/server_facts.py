"""What a self-hosted server states of itself beside its load: how many requests it runs at once.

llama-server says so in `/props`, SGLang in `/get_server_info`. vLLM and TGI do not say; theirs is learned.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_PATHS = {"llama.cpp": "props", "SGLang": "get_server_info"}


def facts_url(metrics: str, engine: str) -> str | None:
    """Where a server with its metrics at this URL states its facts; None where it does not.

    An engine that is not known may be a llama-server without metrics.
    """
    path = _PATHS.get(engine or "llama.cpp")
    parts = urlsplit(metrics)
    if path is None or not parts.path.endswith("/metrics"):
        return None
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path[: -len('metrics')]}{path}", "", ""))


def stated_slots(text: str) -> float | None:
    """Requests at once, from what a server answers there; None where it says nothing of that."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    if (slots := _number(told.get("total_slots"))) is not None:
        return slots
    # SGLang's limit as asked for, and as each of its schedulers has made it.
    states = told.get("internal_states")
    each = [
        _number(state.get("effective_max_running_requests_per_dp") or state.get("max_running_requests"))
        for state in (states if isinstance(states, list) else ())
        if isinstance(state, dict)
    ]
    known = [slots for slots in each if slots is not None]
    return sum(known) if known else _number(told.get("max_running_requests"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1.0 <= value < 1e6:
        return None
    return float(value)
