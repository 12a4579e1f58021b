"""One request as it waits for its decision: what was read of it, and what it may be sent to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.core.decision.scoring import Objective
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.budget import Allowance, clamp
from rb_litellm.litellm_adapter.request.rights.landing import Landing
from rb_litellm.litellm_adapter.shared.exchange.target_share import Steered

Entry = dict[str, Any]
"""One deployment as LiteLLM holds it: model_name, litellm_params, model_info."""


@dataclass(slots=True)
class PendingRequest:
    """One request that waits for its decision."""

    prompt: Prompt
    """Its tokens are counted when it is decided, together with those of the others."""
    candidates: tuple[Deployment, ...]
    objective: Objective
    limits: Limits | None
    """But for the budget, which depends on the tokens of the prompt,"""
    allowance: Allowance | None
    """and comes of this."""
    entries: Sequence[Entry]
    steered: Steered | None
    """What steers its weights; None without targets."""
    used: Landing
    """On whose day and minute it counts."""
    arrival: Arrival
    request_kwargs: dict[str, Any] | None
    responses: bool
    """Whether it is a request of the Responses API, or of embeddings."""
    priority: int
    """LiteLLM's; 0 is the most important, and what a request without one has."""
    retries: int
    """How often it will be sent again if it fails."""
    proxy_s: float
    """Seconds of its time that pass in the proxy, those after the choice as expected."""

    @property
    def admitted(self) -> bool:
        """Whether it is subject to admission control."""
        return self.limits is not None and self.limits.admission is not None

    def limits_of(self, prompt: Prompt) -> Limits | None:
        """Its limits, with the budget of its prompt as counted."""
        limits, allowance = self.limits, self.allowance
        if limits is None or allowance is None:
            return limits
        return Limits(limits.slo, allowance.budget(prompt.input_tokens), limits.admission)

    def hold_budget(self, placed: Assignment) -> None:
        """Lower the request's limit on its answer to what its budget pays for where it was placed."""
        affordable = placed.decision.affordable_tokens
        if affordable is None or self.allowance is None or self.request_kwargs is None:
            return
        if placed.deployment.generates:
            self.arrival.max_tokens = clamp(
                self.request_kwargs, affordable, self.responses, self.allowance.answers
            )
