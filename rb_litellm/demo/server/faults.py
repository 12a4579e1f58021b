"""Faults that a mock server shows on demand: set by its admin endpoint, or asked for by one request."""

from __future__ import annotations

import re
from random import Random

from pydantic import BaseModel, ConfigDict, Field

_IN_PROMPT = re.compile(r"\[\[fault (\{.*?\})\]\]")
HEADER = "x-mock-fault"


class Faults(BaseModel):
    """What goes wrong. The default is nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_rate: float = Field(default=0.0, ge=0.0, le=1.0, description="Share of requests that fail.")
    status: int = Field(default=500, ge=400, le=599, description="HTTP status of those.")
    hang: bool = Field(default=False, description="Requests are taken and never answered.")
    slowdown: float = Field(default=1.0, gt=0.0, le=1e6, description="Factor on the time of everything.")
    delay_first_token_s: float = Field(default=0.0, ge=0.0, description="Wall-clock delay before queueing.")
    break_after_tokens: int | None = Field(
        default=None, ge=0, description="Tokens after which streams break off."
    )

    def fails(self, random: Random) -> bool:
        """Draw whether this request fails."""
        return self.error_rate > 0.0 and random.random() < self.error_rate


NO_FAULTS = Faults()


def asked_for(header: str | None, prompt: str) -> Faults | None:
    """The faults that a request wants for itself: `x-mock-fault: {...}` or `[[fault {...}]]` in the prompt.

    A request that names a status only is one that fails for certain.

    Raises:
        pydantic.ValidationError: the wish cannot be read.
    """
    found = header or next(iter(_IN_PROMPT.findall(prompt)), None)
    if found is None:
        return None
    faults = Faults.model_validate_json(found)
    if "status" in faults.model_fields_set and "error_rate" not in faults.model_fields_set:
        faults = faults.model_copy(update={"error_rate": 1.0})
    return faults
