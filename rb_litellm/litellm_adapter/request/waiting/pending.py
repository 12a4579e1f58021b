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
from rb_litellm.litellm_adapter.request.budget import Allowance, Api, clamp
from rb_litellm.litellm_adapter.request.efforts import has_room
from rb_litellm.litellm_adapter.request.rights.landing import Landing
from rb_litellm.litellm_adapter.request.stages import ONCE, Offer
from rb_litellm.litellm_adapter.shared.catalog import Catalog
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
    messages: Any
    """As LiteLLM gave them; None where it gave none."""
    api: Api
    """Which one it is a request of."""
    priority: int
    """LiteLLM's; 0 is the most important, and what a request without one has."""
    retries: int
    """How often it will be sent again if it fails."""
    proxy_s: float
    """Seconds of its time that pass in the proxy, those after the choice as expected."""
    in_text: bool = True
    """Whether a limit on tokens bounds its answer."""
    offer: Offer = ONCE
    """How it may be answered more than once."""
    again: bool = False
    """Whether it is such a second answer, and no request of its own."""

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


def held_to_budget(pending: PendingRequest, placed: Assignment, catalog: Catalog) -> Entry:
    """LiteLLM's entry of the deployment where the request was placed.

    The request's limit on its answer is lowered to what its budget pays for there. A level of effort for
    which that leaves no room is taken from `placed`.
    """
    chosen = pending.entries[pending.candidates.index(placed.deployment)]
    affordable, kwargs = placed.decision.affordable_tokens, pending.request_kwargs
    if affordable is None or pending.allowance is None or kwargs is None:
        return chosen
    if not (placed.deployment.generates and pending.in_text):
        return chosen
    answers = pending.allowance.answers * placed.decision.answers
    if (samples := placed.decision.best_of) is not None and placed.deployment.output_usd_per_token > 0.0:
        # The judge is to be paid, too.
        affordable -= samples.judge_usd / placed.deployment.output_usd_per_token
    pending.arrival.max_tokens = clamp(kwargs, affordable, pending.api, answers)
    if not has_room(placed.deployment.effort, pending.arrival.max_tokens):
        (placed.deployment,) = catalog.facts([chosen])
        placed.level = None
    return chosen
