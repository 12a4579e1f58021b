"""Whose answer a client has where a second model gave it: LiteLLM's header names the first call.

A client grades by that header. Without this a grade of the second model's answer would count for the first
one, and on those prompts alone whose first answer was called poor.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_ANSWERS = 8192
"""Second answers that are remembered for their grades; the oldest is forgotten."""


class SecondAnswers:
    """Call ids of second answers by those of the first calls. One per worker."""

    def __init__(self) -> None:
        self._second: OrderedDict[str, str] = OrderedDict()

    def given(self, first: str, second: str) -> None:
        """The client of the call `first` has the answer of the call `second`."""
        self._second[first] = second
        if len(self._second) > MAX_ANSWERS:
            self._second.popitem(last=False)

    def answering(self, call_id: str) -> str:
        """The call whose answer the client of this one has; itself, if nothing else is known."""
        return self._second.get(call_id, call_id)
