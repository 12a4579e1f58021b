"""One attempt: its name, its lease, what is known of it while it is open, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from rb_litellm.core.types import Ahead, Company, Level, Outcome, Prediction, Prefilled, SentBefore
from rb_litellm.state.columns import at_least
from rb_litellm.state.departures import Arrival
from rb_litellm.state.occupancy import Reading

OTHER_CLOCK_S = 1.0
"""A TTFT that is told counts from before the pick, so it may be so much longer than the attempt was open. One
that is longer still was measured by a clock that was set meanwhile, or over several attempts."""


class AttemptKey(NamedTuple):
    """One upstream call: a retry of a call is a new attempt of the same call id, counted from 0."""

    call_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class LeaseRule:
    """An attempt's lease: predicted E2E x factor, within [floor_s, ceiling_s]."""

    factor: float = 4.0
    floor_s: float = 30.0
    ceiling_s: float = 900.0

    def lease_s(self, e2e_s: float | None) -> float:
        """The lease in s from the pick; without a prediction, the floor takes the place of the E2E."""
        expected = self.floor_s if e2e_s is None else e2e_s
        return min(at_least(self.floor_s, self.factor * expected), self.ceiling_s)


@dataclass(slots=True)
class Attempt:
    """An open attempt, as it was sent and as far as it has come."""

    key: AttemptKey
    deployment: str
    sent_s: float
    input_tokens: int
    prediction: Prediction | None
    in_flight: float
    pending_prefill_tokens: float
    slot: int
    arrival: Arrival
    sent_before: SentBefore
    saved_tokens: float
    level: Level | None
    of_others: float
    """Of `in_flight`, those that this worker had not sent."""
    written_from: Reading
    """The server's occupancy at its first token, or when it was opened as long as there is none."""
    join_steps: float | None = None
    """See `Outcome`."""
    answers: int = 1
    """Sequences that it runs as on its server."""
    sent_to: int | None = None
    """See `Outcome`."""
    first_token_s: float | None = None
    first_token_learned: bool = False
    sending_s: float | None = None
    """From the pick until `sent_s`, where the latter is known to be later."""
    chunks_at_lease: int = 0
    """Chunks of its stream when its lease was last looked at."""

    def outcome(
        self,
        now: float,
        closed_by: str,
        *,
        output_tokens: int | None = None,
        input_tokens: int | None = None,
        cost_usd: float | None = None,
        error: str | None = None,
        ttft_s: float | None = None,
        chunks: int = 0,
        ahead: Ahead | None = None,
        company: Company | None = None,
        beside: float | None = None,
        prefilled: Prefilled | None = None,
    ) -> Outcome:
        """What has come of it, at its end: `ahead` kept it waiting, `company` was sent with it, it was
        written `beside` so many, and these prompts were `prefilled` meanwhile."""
        open_s = max(now - self.sent_s, 0.0)
        if ttft_s is not None and ttft_s > open_s + OTHER_CLOCK_S:
            ttft_s = None
        if ttft_s is None and self.first_token_s is not None:
            ttft_s = max(self.first_token_s - self.sent_s, 0.0)
        return Outcome(
            deployment=self.deployment,
            closed_by=closed_by,
            predicted=self.prediction,
            input_tokens=self.input_tokens if input_tokens is None else input_tokens,
            in_flight=self.in_flight,
            pending_prefill_tokens=self.pending_prefill_tokens,
            open_s=open_s,
            ttft_s=ttft_s,
            tpot_s=time_per_output_token(open_s, ttft_s, output_tokens),
            output_tokens=output_tokens,
            cost_usd=cost_usd,
            error=error,
            first_token_learned=self.first_token_learned,
            chunks=chunks,
            at_s=now,
            ahead=ahead,
            company=company,
            beside=beside,
            prefilled=prefilled,
            sent_before=self.sent_before,
            saved_tokens=self.saved_tokens,
            join_steps=self.join_steps,
            sending_s=self.sending_s,
            level=self.level,
            sent_to=self.sent_to,
            call_id=self.key.call_id,
            attempt=self.key.attempt,
        )


def time_per_output_token(e2e_s: float, ttft_s: float | None, output_tokens: int | None) -> float | None:
    """(end - first token) / (output tokens - 1) in s; None where that is unknown."""
    if ttft_s is None or output_tokens is None or output_tokens < 2 or e2e_s < ttft_s:
        return None
    return (e2e_s - ttft_s) / (output_tokens - 1)
