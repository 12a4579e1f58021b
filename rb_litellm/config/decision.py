"""What a decision goes by beside its weights: prices, limits, holding, affinity, agents, exploration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rb_litellm.config.values import Milliseconds, Settings, Usd
from rb_litellm.core.decision.exploring.exploration import ExplorationRule
from rb_litellm.core.limits.admission import wait_limit
from rb_litellm.core.limits.slo import RELAX, STEPS, LimitName, Mode
from rb_litellm.core.servers.affinity import AffinityRule
from rb_litellm.core.servers.threads import thread_rule
from rb_litellm.core.targets.stated import Maximised, Targets


class PriceSettings(Settings):
    """The value of quality and time under the objective `priced`."""

    usd_per_quality: float = Field(
        default=0.001, ge=0.0, le=1e6, description="An answer of quality 1 above one of quality 0."
    )
    usd_per_second: float = Field(
        default=0.00002, ge=0.0, le=1e6, description="Waiting for the whole answer."
    )


class SloSettings(Settings):
    """Limits of every request that sets no others, and what to do when no candidate meets them."""

    ttft_ms: Milliseconds | None = None
    tpot_ms: Milliseconds | None = None
    e2e_ms: Milliseconds | None = None
    quality_min: float | None = Field(default=None, ge=0.0, le=1.0)
    theta: float = Field(default=0.9, gt=0.0, lt=1.0, description="Probability of meeting a latency limit.")
    mode: Mode = Field(default="tiered", description="strict: refuse. tiered: loosen. prefer: price a miss.")
    relax: tuple[LimitName, ...] = Field(default=RELAX, description="`tiered`: what is loosened first.")
    steps: tuple[Annotated[float, Field(gt=1.0, le=100.0)], ...] = Field(
        default=STEPS, max_length=8, description="`tiered`: multiples of a limit, rising."
    )
    penalty: float = Field(default=1.0, ge=0.0, le=1e6, description="`prefer`: score lost for a whole miss.")

    @model_validator(mode="after")
    def _in_order(self) -> SloSettings:
        if len(set(self.relax)) < len(self.relax):
            raise ValueError(f"relax names a limit twice: {', '.join(self.relax)}")
        if list(self.steps) != sorted(self.steps):
            raise ValueError(f"steps must rise: {self.steps}")
        return self


class TargetSettings(Settings):
    """Targets in place of weights, which follow from what requests cost, take and are worth."""

    cost_usd_per_1k: Usd | None = Field(default=None, description="The most that 1,000 requests may cost.")
    e2e_p95_s: float | None = Field(
        default=None, gt=0.0, le=86_400.0, description="Time within which 95 of 100 requests are answered."
    )
    quality_min: float | None = Field(
        default=None, gt=0.0, le=1.0, description="The least mean of predicted quality."
    )
    maximise: Maximised = Field(default="quality", description="What is best within these bounds.")

    @model_validator(mode="after")
    def _bound(self) -> TargetSettings:
        self.stated()
        return self

    def stated(self) -> Targets:
        """The same in the form of `core`."""
        return Targets(self.cost_usd_per_1k, self.e2e_p95_s, self.quality_min, self.maximise)


class PriorityWait(Settings):
    """The longest wait from this LiteLLM priority (0 is the most important) up to the next one listed."""

    priority: int = Field(ge=0)
    max_wait_s: float = Field(gt=0.0, le=86_400.0)


class AdmissionSettings(Settings):
    """Admission control: refuse requests that would have to wait too long everywhere."""

    max_wait_s: float = Field(gt=0.0, le=86_400.0, description="Predicted wait before the first token.")
    by_priority: tuple[PriorityWait, ...] = Field(
        default=(), max_length=64, description="Other waits for some of LiteLLM's priorities."
    )

    @model_validator(mode="after")
    def _rising(self) -> AdmissionSettings:
        levels = [entry.priority for entry in self.by_priority]
        if levels != sorted(set(levels)):
            raise ValueError(f"by_priority must rise in priority: {levels}")
        return self

    def wait_limit_s(self, priority: object) -> float:
        """The longest wait of a request with this LiteLLM priority, or without one."""
        number = priority if isinstance(priority, int) and not isinstance(priority, bool) else None
        levels = [(entry.priority, entry.max_wait_s) for entry in self.by_priority]
        return wait_limit(self.max_wait_s, levels, number)


class HoldSettings(Settings):
    """Holding: a request that would be refused for the present load waits in the proxy for a while."""

    max_wait_s: float = Field(default=10.0, gt=0.0, le=600.0, description="The longest that one waits.")
    max_requests: int = Field(
        default=100,
        ge=1,
        le=2_000,
        description="Held at once, over all workers, of which each has its share.",
    )
    fair_by: Literal["key", "team"] = Field(
        default="key", description="Whose requests share what becomes free, by tokens."
    )


class AffinitySettings(Settings):
    """Prefix affinity: prefer the deployment that has probably cached the beginning of the prompt."""

    max_bonus_ms: float = Field(default=500.0, ge=0.0, le=60_000.0, description="The most that it may count.")
    imbalance: float = Field(
        default=2.0,
        ge=0.0,
        le=1_000.0,
        description="No bonus with this many more in flight than the least busy of the tier.",
    )
    ttl_s: float = Field(
        default=300.0, gt=0.0, le=86_400.0, description="A prefix unused this long is evicted."
    )
    switch_cost: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Score that moving a conversation to another model costs, beside the lost cache.",
    )

    across: Literal["caller", "all"] = Field(
        default="caller",
        description="Whose prompts count as cached: those of the request's own team (else key), or of "
        "all. With `all`, predicted times in response headers tell whether somebody sent the same prefix.",
    )

    def rule(self) -> AffinityRule:
        """The same rule in the form of `core`."""
        return AffinityRule(self.max_bonus_ms / 1000.0, self.imbalance, self.ttl_s, self.switch_cost)


class AgentSettings(Settings):
    """Agents' loops: calls on one growing prefix stay where it is cached, unless moving pays for it."""

    ttl_s: float = Field(
        default=300.0,
        gt=0.0,
        le=86_400.0,
        description="A thread without a call for this long is nowhere cached, and may go anywhere.",
    )

    def rule(self) -> AffinityRule:
        """The same rule in the form of `core`."""
        return thread_rule(self.ttl_s)


class ExplorationSettings(Settings):
    """Exploration: send a small share of requests where little is known of the latency, or nothing lately."""

    method: Literal["recovery", "epsilon", "thompson", "none"] = Field(
        default="recovery",
        description="recovery: only where something better may well be found, bounded in harm.",
    )
    share: float = Field(default=0.02, gt=0.0, le=0.2, description="Of the requests, at most.")
    max_loss_s: float = Field(
        default=10.0,
        ge=0.0,
        le=3600.0,
        description="`recovery`: longest forecast loss of a request that is sent to find something out.",
    )

    def rule(self) -> ExplorationRule | None:
        """The same rule in the form of `core`; None for no exploration."""
        if self.method == "none":
            return None
        return ExplorationRule(self.method, self.share, self.max_loss_s)
