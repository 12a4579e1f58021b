"""What an outcome says of its server's speed: its times without the wait in a queue, and for the tokens that
were prefilled.

A wait teaches how many requests a server runs at once, and nothing of how quick it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial
from typing import NamedTuple

import numpy as np

from rb_litellm.core.latency.learning.evidence import taught_by
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.stated_times import StatedTimes, parted
from rb_litellm.core.servers.keeping import Keeping
from rb_litellm.core.servers.queueing import as_served
from rb_litellm.core.servers.slots import ALL, Slots
from rb_litellm.core.servers.together import Ended, SentTogether
from rb_litellm.core.types import FloatArray, Outcome


class Due(NamedTuple):
    """An attempt that is over, and of which nothing more has to be waited for."""

    row: int
    """The learner's, of what served it."""
    outcome: Outcome
    before: FloatArray | None = None
    """(C,) how many of those that were sent with it began before it, by the number of slots; None where
    `outcome.ahead` tells that."""


class ServiceTimes:
    """Of outcomes by the learner's row of what served them and the number of its server. Not thread-safe."""

    def __init__(self, learner: LatencyLearner, slots: Slots, keeping: Keeping) -> None:
        self._learner = learner
        self._slots = slots
        self._keeping = keeping
        self._together = SentTogether()
        self._stated = StatedTimes()

    def waits_for_end(self, server: int, outcome: Outcome) -> bool:
        """Whether the first token of a stream teaches more when the stream is over: its server will state how
        long it waited behind others."""
        return outcome.in_flight > 0.0 and self._stated.tells(server)

    def of_first_token(self, row: int, server: int, outcome: Outcome) -> Outcome | None:
        """What the first token of an attempt that is still open teaches; None for nothing."""
        served = self._as_served(row, server, outcome)
        return None if served is None else self._as_kept(row, served)

    def forget(self, rows: Collection[int]) -> None:
        """What served at these rows is gone."""
        self._together.forget(rows)

    def forget_server(self, server: int) -> None:
        """Nobody is on this server any more."""
        self._stated.forget(server)

    def ended(self, row: int, server: int, outcome: Outcome) -> list[Due]:
        """An attempt is over: which now have something to teach, it or others that have waited for it."""
        self._stated.ended(server, outcome)
        own, with_others = Due(row, outcome), self._with_others(row, server, outcome)
        if with_others is None:
            return [own]
        told = [
            Due(its.row, its.outcome, None if its.missing > 0 else its.before)
            for its in self._together.ended(server, with_others)
            if its.asks
        ]
        return told if with_others.asks else [own, *told]

    def of_end(self, server: int, due: Due) -> Outcome | None:
        """What the end of an attempt teaches; None for nothing."""
        row, outcome, before = due
        if outcome.first_token_learned:
            # Of a stream whose first token was learned from, the wait is known already.
            return outcome
        served = self._as_served(row, server, outcome, before)
        if served is not None:
            return self._as_kept(row, parted(served))
        return None if outcome.in_one_piece else outcome._replace(ttft_s=None)

    def _with_others(self, row: int, server: int, outcome: Outcome) -> Ended | None:
        """An attempt that was sent together with others; None for any other."""
        company, hypotheses = outcome.company, self._slots.hypotheses(server)
        if company is None or hypotheses is None or outcome.at_s is None:
            return None
        numbers, quicker = hypotheses
        # Where other workers send as well, not all ends are seen here.
        alone = company.met >= ALL * (outcome.in_flight - outcome.choices + 1)
        asked_s = outcome.at_s - outcome.open_s
        measured_s = outcome.measured_s
        # By what is believed now, and worked out only where the order is asked for.
        engine = self._learner.coefficients.at(row)
        timed = taught_by(outcome).times
        stated = self._stated.parts(server, outcome)

        def began_s() -> FloatArray:
            if not measured_s or not timed:
                return np.full(numbers.size, asked_s)
            if stated is not None:
                return np.full(numbers.size, asked_s + stated.wait_s)
            return asked_s + (measured_s - engine.service_s(_as_met(outcome), numbers) * np.exp(quicker))

        sent_s = asked_s - (outcome.sending_s or 0.0)
        asks = alone and outcome.in_one_piece
        return Ended(row, outcome, sent_s, outcome.at_s, began_s, company.together, asks)

    def _as_kept(self, row: int, outcome: Outcome) -> Outcome:
        """The outcome with the prefill that its time speaks for: some of its prompt may have been cached."""
        prompt = outcome.input_tokens + outcome.saved_tokens
        if outcome.cached_tokens is not None:
            return outcome._replace(input_tokens=max(round(prompt) - outcome.cached_tokens, 0))
        measured_s = outcome.measured_s
        if not outcome.sent_before.tokens or not measured_s:
            return outcome
        engine = self._learner.coefficients.at(row)
        full_s, cached_s = (
            engine.service_s(outcome._replace(input_tokens=round(tokens)), np.array([engine.slots])).item()
            for tokens in (prompt, prompt - outcome.sent_before.tokens)
        )
        return self._keeping.timed(row, outcome, measured_s, full_s, cached_s)

    def _as_served(
        self, row: int, server: int, outcome: Outcome, before: FloatArray | None = None
    ) -> Outcome | None:
        """The outcome without its wait in the server's queue; None where it is not known how long it was.

        `before` (C,) is how many of those that were sent with it began before it.
        """
        ahead, company = outcome.ahead, outcome.company
        measured_s = outcome.measured_s
        if ahead is None or not measured_s or not taught_by(outcome).times or outcome.choices > 1:
            # Of several answers it is not told which had to wait.
            return outcome
        if outcome.in_one_piece and outcome.output_tokens is None:
            return outcome
        stated = self._stated.parts(server, outcome)
        requests, share = None, ahead.share
        if stated is None:
            # Streams that overtook each other count as others': whose end let this one begin is then as
            # uncertain as it seems, and what is learned from too little is taken for slowness.
            share = min(ahead.requests / max(outcome.in_flight, 1.0), 1.0)
        if before is not None and company is not None:
            outcome, requests, share = _as_met(outcome), company.well_before + before, 1.0
        elif not ahead.requests and stated is None:
            return outcome
        weigh = partial(
            self._slots.observe,
            server,
            ahead,
            share,
            measured_s,
            known=self._learner.measured_at(row),
            in_one_piece=outcome.in_one_piece,
            requests=requests,
        )
        if stated is not None:
            if share > 0.0:  # Else none of those that were there has an end that was seen.
                weigh(stated.service_s)
            return _without_wait(outcome, stated.wait_s, self._slots.of(server))
        wait_s = weigh(partial(self._learner.coefficients.at(row).service_s, outcome))
        if wait_s is None or share < ALL:
            # When others' requests ended is not known. The learner leaves out what had to queue.
            return outcome if wait_s is not None else None
        slots = self._slots.of(server)
        return outcome if slots is None else as_served(outcome, wait_s, slots)


def _without_wait(outcome: Outcome, wait_s: float, slots: float | None) -> Outcome:
    """The outcome as if it had been sent when its service began, after a wait that is known."""
    slots = math.inf if slots is None else slots
    if wait_s > 0.0:
        # It has found all of them busy, so they are no more than those that it met.
        met = outcome.in_flight if outcome.ahead is None else outcome.ahead.requests + outcome.ahead.others
        slots = min(slots, max(met, outcome.in_flight, 1.0))
    return as_served(outcome, wait_s, slots)


def _as_met(outcome: Outcome) -> Outcome:
    """An outcome that met as many as it ran beside: of those sent with it, it may have met none."""
    return outcome._replace(in_flight=max(outcome.in_flight, outcome.beside or 0.0))
