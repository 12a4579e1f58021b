"""What policies that have answers judged share: a made-up judge, and what their requests got."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from rb_litellm.core.types import FloatArray
from rb_litellm.sim.engine import Served
from rb_litellm.sim.servers.cluster import Tier


@dataclass(frozen=True, slots=True)
class Judge:
    """What it does in truth, and what a verdict takes. It needs no server."""

    accepts_right: float
    accepts_wrong: float
    seconds: float
    usd: float
    usd_per_token: float

    def accepts(self, right: bool, random: Random) -> bool:
        """Whether it calls an answer good."""
        return random.random() < (self.accepts_right if right else self.accepts_wrong)

    def usd_for(self, served: Served) -> float:
        """What it costs to have it read a request and all that was answered."""
        return self.usd + self.usd_per_token * (served.request.prompt.input_tokens + served.output_tokens)


@dataclass(frozen=True, slots=True)
class Answered:
    """What R requests got; arrays of shape (R,)."""

    quality: FloatArray
    e2e_s: FloatArray
    usd: FloatArray


def paid_usd(served: Served, tier: Tier) -> float:
    """What the tokens of a request and its answers cost on this tier."""
    usd = served.request.prompt.input_tokens * tier.input_usd_per_million
    return (usd + served.output_tokens * tier.output_usd_per_million) / 1e6
