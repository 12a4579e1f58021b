"""How the client of a request with several answers gets one of them."""

from __future__ import annotations

from typing import Any

from rb_litellm.telemetry.comparing.pairwise import text_of

_CUT = ("length", "content_filter")
"""Reasons for which an answer breaks off."""


def answers_of(response: Any) -> list[Any]:
    """The choices of a chat completion."""
    found = getattr(response, "choices", None)
    return found if isinstance(found, list) else []


def shown_to_judge(choices: list[Any]) -> list[int]:
    """Which of the choices are to be judged: those with a text, without those cut while there are others."""
    written = [n for n, choice in enumerate(choices) if text_of({"choices": [choice]}).strip()]
    whole = [n for n in written if getattr(choices[n], "finish_reason", None) not in _CUT]
    return whole or written


def only(response: Any, number: int) -> Any:
    """The response with one of its choices alone; LiteLLM, which logs and caches it, keeps it whole.

    Its usage stays that of all: they are what is paid for.
    """
    choice = response.choices[number].model_copy(update={"index": 0})
    answer = response.model_copy(update={"choices": [choice]})
    told = getattr(response, "_hidden_params", None)
    if isinstance(told, dict):
        answer._hidden_params = dict(told)
    return answer
