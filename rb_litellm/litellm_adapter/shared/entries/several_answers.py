"""Who can be asked for several answers in one call (`n`), and under which parameters they would differ.

Some servers refuse `n` beyond the requests that they run at once, or altogether, and some take no notice of
it, whatever LiteLLM says of their provider: such a deployment is asked for one answer for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from rb_litellm.litellm_adapter.shared.entries.provider_fields import holders, reaches

LEAST_TEMPERATURE = 0.3
"""Below it, answers to one prompt are too much alike for a choice among them."""
LEAST_TOP_P = 0.3
REST_S = 600.0
MAX_REFUSED = 1024
"""Deployments that are remembered; the one that refused longest ago is forgotten."""
_FIXED = ("seed", "best_of", "use_beam_search", "logprobs", "top_logprobs")
"""Fields by which answers would be alike, or more than a text is asked for of each."""
_STATUSES = (400, 422)
_OF_REQUEST = frozenset({"ContextWindowExceededError", "ContentPolicyViolationError", "ImageFetchError"})
"""Errors with such a status that a single answer would meet, too."""


def taken(model: str, params: Mapping[str, Any]) -> bool:
    """Whether LiteLLM passes `n` on to a deployment with these parameters, and answers would differ there."""
    return answers_differ(params) and reaches("n", model, params)


def answers_differ(params: Mapping[str, Any]) -> bool:
    """Whether several answers under these parameters, a request's or a deployment's, would differ."""
    return all(map(_differ, holders(params)))


def _differ(params: Mapping[str, Any]) -> bool:
    # A seed of 0 is one.
    if any((value := params.get(name)) is not None and value is not False for name in _FIXED):
        return False
    if params.get("n") not in (None, 1) or params.get("top_k") == 1:
        return False
    dropped = params.get("additional_drop_params")
    if isinstance(dropped, (list, tuple)) and "n" in dropped:
        return False  # One comes, whatever is asked for.
    least = (("temperature", LEAST_TEMPERATURE), ("top_p", LEAST_TOP_P))
    return all(_at_least(params.get(name), value) for name, value in least)


def _at_least(value: object, least: float) -> bool:
    return value is None or (isinstance(value, (int, float)) and value >= least)


class RefusedAnswers:
    """One per worker; under the runtime's lock."""

    def __init__(self) -> None:
        self._refused_s: OrderedDict[str, float] = OrderedDict()

    def note(self, deployment: str, now: float) -> None:
        """It has refused, or has given one answer all the same."""
        self._refused_s[deployment] = now
        self._refused_s.move_to_end(deployment)
        if len(self._refused_s) > MAX_REFUSED:
            self._refused_s.popitem(last=False)

    def forgive(self, deployment: str) -> None:
        """It was not for being several that it refused."""
        self._refused_s.pop(deployment, None)

    def lately(self, now: float) -> frozenset[str]:
        """Who is not to be asked now."""
        while self._refused_s:
            deployment, refused_s = next(iter(self._refused_s.items()))
            if now - refused_s < REST_S:
                break
            del self._refused_s[deployment]
        return frozenset(self._refused_s)


def refuses_several(error: BaseException) -> bool:
    """Whether an error may say that several answers are not to be had in one call."""
    return getattr(error, "status_code", None) in _STATUSES and type(error).__name__ not in _OF_REQUEST
