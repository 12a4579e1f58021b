"""The horizons of agents' loops: what a decision needs to know of the calls that come after one."""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.balancing.beliefs import Beliefs
from rb_litellm.balancing.candidates import CandidateSet
from rb_litellm.core.decision.breakdown import Decision
from rb_litellm.core.decision.horizon import GROWTH, Horizon
from rb_litellm.core.servers.affinity import AffinityRule
from rb_litellm.core.servers.lasting_load import MEAN_S, LastingLoad
from rb_litellm.core.servers.threads import Threads
from rb_litellm.core.types import InstanceState, Prompt

_ERROR_S = 1.0
"""The spread of forecast errors is worked out anew after so long."""


class Horizons:
    """Of all loops of a worker. Guard with the caller's lock."""

    def __init__(self, threads: Threads, beliefs: Beliefs) -> None:
        self._threads = threads
        self._beliefs = beliefs
        self._load = LastingLoad()
        self._errors: dict[int, tuple[float, float]] = {}
        """By tier: spread of the errors, and when it was worked out."""

    def see(self, state: InstanceState, now: float) -> None:
        """Look at the present load of all deployments, by the index's rows."""
        tpot_s = self._beliefs.learner.coefficients.tpot_s
        for pace in self._beliefs.taken_over():
            self._load.renew(pace, tpot_s.item(pace))
        self._load.see(state, tpot_s, now)

    def of(
        self, thread: str, prompt: Prompt, candidates: CandidateSet, rule: AffinityRule | None, now: float
    ) -> Horizon | None:
        """What is known of the calls of a loop after this one, on these candidates; None for no loop."""
        if not thread or rule is None:
            return None
        expected = self._threads.expected(thread, now, rule.ttl_s, tools=prompt.tools > 0)
        pin, tokens, home = expected.pin, float(prompt.input_tokens), None
        load = self._load.of(candidates.state_rows)
        if pin is not None:
            # What has come since the last call will have been computed by the next one.
            tokens = min(pin.tokens, tokens)
            (at,) = (candidates.state_rows == pin.row).nonzero()
            if at.size:
                home = at.item(0)
                _without(load, home, expected.share(pin.takes_s))
        return Horizon(
            further=expected.further,
            cached_tokens=tokens * self._beliefs.keeping.share(candidates.pace_rows, expected.between_s),
            load=load,
            pace=self._load.pace(candidates.pace_rows, self._beliefs.learner.coefficients.tpot_s),
            growth=np.where(
                np.isfinite(self._beliefs.learner.coefficients.slots[candidates.pace_rows]), GROWTH, 0.0
            ),
            home=home,
            error=self._error(candidates, home, now),
            expected=expected,
            thread=thread,
            input_tokens=float(prompt.input_tokens),
            tools=prompt.tools > 0,
        )

    def sent(
        self, horizon: Horizon, candidates: CandidateSet, decision: Decision, now: float, workers: int
    ) -> None:
        """The call has been placed; `workers` share the calls of its loop."""
        expected, chosen, home = horizon.expected, decision.index, horizon.home
        rows = candidates.state_rows
        self._threads.sent(
            horizon.thread,
            rows.item(chosen),
            horizon.input_tokens,
            now,
            tools=horizon.tools,
            takes_s=decision.prediction.e2e_s,
            workers=workers,
        )
        if chosen == home or horizon.takes_s is None:
            return
        stays = 1.0
        if home is not None:
            self._load.add(rows.item(home), -expected.share(horizon.takes_s.item(home)))
        else:
            # A loop that soon ends is soon no load.
            stays -= math.exp(-horizon.further * expected.between_s / MEAN_S)
        self._load.add(rows.item(chosen), stays * expected.share(horizon.takes_s.item(chosen)))

    def _error(self, candidates: CandidateSet, home: int | None, now: float) -> float:
        """Spread of the log errors of time per token, on the tier where the loop is."""
        if home is None:
            return 0.0
        tier = candidates.tier_rows.item(home)
        found = self._errors.get(tier)
        if found is None or not 0.0 <= now - found[1] < _ERROR_S:
            residuals, row = self._beliefs.residuals, np.array([tier])
            low, high = (residuals.quantiles(row, ("tpot",), share).item() for share in (0.16, 0.84))
            found = self._errors[tier] = math.log(high / low) / 2.0, now
        return found[0]


def _without(load: InstanceState, at: int, share: float) -> None:
    """Take a share of a request from the load at a row."""
    before = load.in_flight.item(at)
    left = max(before - share, 0.0) / max(before, 1e-9)
    for figures in (load.in_flight, load.pending_prefill_tokens, load.pending_decode_tokens):
        figures[at] *= left
