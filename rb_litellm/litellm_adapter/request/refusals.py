"""What a client is told when its own limits leave no deployment: a status, and what would be needed.

429 with `Retry-After` where the present load is the reason and time will help; 503 where it will not;
400 where the budget does not even pay for the input. LiteLLM does not retry these, for nothing would have
changed; its fallbacks to other groups apply as with any error.
"""

from __future__ import annotations

import math
from typing import Any

from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.limits.filters import MAX_RETRY_AFTER_S
from rb_litellm.litellm_adapter.request.waiting.holding import HoldEnded

_TIMES = ("ttft", "tpot", "e2e", "wait")
_HELD = {
    "full": "no further request is held",
    "late": "none had room while this request was held",
    "gone": "none of those that this request was held for is served any more",
    "displaced": "this request, which was held, gave way to one that had more right to its place",
}
_NAMES = {"quality": "quality_min", "budget": "max_cost_usd"}


def error_for(refusal: Refusal, model: str) -> Exception:
    """The exception that LiteLLM turns into the client's answer."""
    import litellm

    message = message_of(refusal)
    error: Any
    if refusal.reason == "budget":
        error = litellm.BadRequestError(message, model=model, llm_provider="")
    elif refusal.retry_after_s is not None:
        error = litellm.RateLimitError(message, llm_provider="", model=model)
        error.headers = {"retry-after": str(math.ceil(refusal.retry_after_s))}
    else:
        error = litellm.ServiceUnavailableError(message, llm_provider="", model=model)
    error.num_retries = 0
    error.routebalance_refusal = refusal.reason
    return error  # type: ignore[no-any-return]


def error_of_hold(ended: HoldEnded, model: str) -> Exception:
    """The same for a request that waited in the proxy, or found no place to wait."""
    import litellm

    error: Any = litellm.RateLimitError(
        f"RouteBalance: every deployment is too busy, and {_HELD[ended.why]} ({ended.told})",
        llm_provider="",
        model=model,
    )
    error.headers = {
        "retry-after": str(math.ceil(min(max(ended.retry_after_s, 1.0), MAX_RETRY_AFTER_S))),
        "x-routebalance-held": ended.told,
    }
    error.num_retries = 0
    error.routebalance_refusal = "hold"
    return error  # type: ignore[no-any-return]


def message_of(refusal: Refusal) -> str:
    """One sentence: what failed, and what would be needed."""
    best = ", ".join(_needed(name, value) for name, value in refusal.needed.items())
    if refusal.reason == "load":
        return f"RouteBalance: every deployment is too busy: the shortest predicted wait is {best}"
    if refusal.reason == "budget":
        return f"RouteBalance: the budget does not pay for this request on any deployment: needed is {best}"
    return f"RouteBalance: no deployment keeps all limits of this request; each by itself could be {best}"


def _needed(name: str, value: float) -> str:
    if name in _TIMES:
        return f"{name}_ms {math.ceil(value * 1e3)}"
    # Rounded to the side on which the request would go through.
    told = _NAMES.get(name, name)
    return f"{told} {value:.4f}" if name == "quality" else f"{told} {_up(value):.10g}"


def _up(value: float) -> float:
    """The next larger number of four significant digits."""
    if value <= 0.0:
        return 0.0
    scale = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.ceil(value / scale) * scale
