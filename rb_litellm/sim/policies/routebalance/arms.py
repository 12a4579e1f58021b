"""Parts of RouteBalance that can be left out of it, or added to it, to see what each is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreTerm
from rb_litellm.core.decision.scoring import Objective
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.servers.affinity import AffinityRule
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState
from rb_litellm.state.reckoning import Reckoner


@dataclass(frozen=True)
class Arms:
    """Parts of RouteBalance that can be left out, one by one, to see what each is worth."""

    batching: bool = True
    """Requests that arrive during a decision are decided together."""
    sequential: bool = True
    """Each request of a batch sees the load of those assigned before it."""
    reckoning: bool = True
    """Open attempts fall with elapsed time; without, each counts in full until it ends."""
    learning: bool = True
    """Latency is learned from what is measured; without, the prior stays."""
    load: bool = True
    """The balancer sees load at all; without, it prices latency on idle servers."""
    burden: bool = True
    """What the requests already running lose by a new one is priced too."""
    failures: bool = True
    """Attempts that fail teach something; without, answers alone do."""
    window_s: float = 0.0
    """Time for which a batch is collected before it is decided, as the reference does (50-200 ms)."""
    affinity: AffinityRule | None = None
    """Not left out but added: prompts go, other things equal, where their beginning is cached."""
    threads: bool = False
    """Added as well: a conversation is known for an agent's loop."""


WHOLE = Arms()
"""As it is in the proxy."""


@dataclass(frozen=True, slots=True)
class WithoutBurden(Objective):
    """The objective without the burden on others: a request counts its own time only."""

    objective: Objective

    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """See `Objective`."""
        return self.objective.static_terms(quality, cost_usd, allowed)

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """See `Objective`."""
        return self.objective.latency(replace(times, burden_s=0.0), allowed)


class WithoutLoad(Reckoner):
    """Reports no load anywhere."""

    def state(self, now: float) -> InstanceState:
        """See `Reckoner`."""
        return InstanceState.idle(len(self._index))

    def slowdown(self, now: float) -> FloatArray:
        """See `Reckoner`."""
        return np.ones(len(self._index))


class WithoutDeadReckoning(Reckoner):
    """Counts its own open attempts as they were when sent: they are not advanced in time."""

    def state(self, now: float) -> InstanceState:
        """See `Reckoner`."""
        own = self._ledger.sums(-1e9)
        others = self._peers.sums(now, own.in_flight.size)
        return InstanceState(
            own.in_flight + others.in_flight,
            own.pending_prefill_tokens + others.pending_prefill_tokens,
            own.pending_decode_tokens + others.pending_decode_tokens,
        )

    def slowdown(self, now: float) -> FloatArray:
        """See `Reckoner`."""
        return np.ones(len(self._index))
