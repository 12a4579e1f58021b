"""What a self-hosted server states of itself beside its load: requests that it runs at once, and its window.

llama-server says both in `/props`, SGLang in `/get_server_info`. vLLM tells its context window in
`/v1/models`, unless it wants a key there. vLLM and TGI do not say how many requests they run at once; that is
learned.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_PATHS = {"vLLM": "v1/models", "llama.cpp": "props", "SGLang": "get_server_info"}

_MOST_SLOTS, _MOST_TOKENS = 1e6, 1e9
"""What is larger is no number of slots, and no window."""


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
    told = json_object(text)
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


def stated_window(text: str) -> int | None:
    """Tokens of prompt and answer together, from what a server answers there; None where it says nothing of
    that, or where its models differ."""
    told = json_object(text)
    settings = told.get("default_generation_settings")
    cards = told.get("data")
    windows = {
        window
        for holder, name in (
            (settings, "n_ctx"),
            (told, "context_length"),
            *((card, "max_model_len") for card in (cards if isinstance(cards, list) else ())),
        )
        if isinstance(holder, dict) and (window := _number(holder.get(name), _MOST_TOKENS)) is not None
    }
    return int(windows.pop()) if len(windows) == 1 else None


def json_object(text: str) -> dict[str, Any]:
    """What a server has answered; empty where it is no object."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _number(value: Any, most: float = _MOST_SLOTS) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1.0 <= value < most:
        return None
    return float(value)
