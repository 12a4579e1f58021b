"""Attempts that are closed, while more may be said of them.

- *answered*: what the answer used comes later, with the success event.
- *given up*: the next pick of the same task closed it, usually a retry's. LiteLLM tells the end of an SDK's
  call when the next one may be under way already, so a success may be on its way.
- *expired*: its lease ended, and it is recorded so; an answer would be news.

None of them is load any more. Each kind is bounded; whatever is dropped is recorded as it stands.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.lifecycle.evidence import Usage, as_evidence
from rb_litellm.state.attempt import AttemptKey

MAX_ANSWERED = 4096
"""Answered attempts that wait for their usage; the oldest is recorded without it."""
MAX_LATE = 4096
"""Given up, and expired ones, that may still be answered; the oldest is forgotten."""
GIVEN_UP_S = 60.0
"""A success of an attempt that was given up comes within this time, or it was a failure."""


class Unsettled:
    """Of this process. Times in s on the ledger's clock.

    `finished(outcome)` is called once for each that was answered or given up, when no more will be learned of
    it; `amended(outcome)` for an expired one that was answered after all.
    """

    def __init__(
        self,
        attempts_of: Callable[[str], int],
        finished: Callable[[Outcome], None],
        amended: Callable[[Outcome], None],
    ) -> None:
        """`attempts_of(call_id)` is the number of attempts that a call has had."""
        self._attempts_of = attempts_of
        self._finished = finished
        self._amended = amended
        self._answered: OrderedDict[AttemptKey, Outcome] = OrderedDict()
        self._given_up: OrderedDict[AttemptKey, Outcome] = OrderedDict()
        self._expired: OrderedDict[AttemptKey, Outcome] = OrderedDict()

    def answered(self, key: AttemptKey, outcome: Outcome) -> None:
        """An answer is over; what it used is to come."""
        self._answered[key] = outcome
        if len(self._answered) > MAX_ANSWERED:
            self._finished(self._answered.popitem(last=False)[1])

    def give_up(self, key: AttemptKey, outcome: Outcome) -> None:
        """The next pick of its task has closed it."""
        self._given_up[key] = outcome
        if len(self._given_up) > MAX_LATE:
            self._finished(_retried(self._given_up.popitem(last=False)[1]))

    def expired(self, key: AttemptKey, outcome: Outcome) -> None:
        """Its lease has ended."""
        self._expired[key] = outcome
        if len(self._expired) > MAX_LATE:
            self._expired.popitem(last=False)

    def has(self, call_id: str) -> bool:
        """Whether more may be said of any attempt of the call."""
        return any(
            self._latest(kind, call_id) is not None
            for kind in (self._answered, self._expired, self._given_up)
        )

    def has_given_up(self, call_id: str) -> bool:
        """Whether an attempt of the call was given up, and may still be answered."""
        return self._latest(self._given_up, call_id) is not None

    def over(self, call_id: str, deployment: str | None, now: float, lasted_s: float | None) -> None:
        """A call has been answered whose attempt is not open any more: its times are those of now."""
        for kind in (self._given_up, self._expired):
            key = self._latest(kind, call_id)
            if key is None:
                continue
            outcome = kind[key]
            if deployment is not None and deployment != outcome.deployment and not outcome.own_account:
                continue
            if outcome.closed_by == "late" or outcome.at_s is None:
                continue
            # By LiteLLM's account it may have been over for a while; longer than until now it never took.
            open_s = max(outcome.open_s + now - outcome.at_s, 0.0)
            open_s = open_s if lasted_s is None else min(lasted_s, open_s)
            kind[key] = outcome._replace(closed_by="late", open_s=open_s, at_s=now)
            return

    def complete(
        self,
        call_id: str,
        deployment: str | None,
        output_tokens: int | None,
        cost_usd: float | None,
        cached: bool,
        usage: Usage,
    ) -> bool:
        """What a successful call used; False where no attempt of it on this deployment waits for that."""
        found = self._waiting(call_id)
        if found is None:
            return False
        key, kind, tell = found
        outcome = kind[key]
        if deployment is not None and outcome.deployment != deployment and not outcome.own_account:
            return False
        if cached:
            del kind[key]
            tell(outcome._replace(error="CacheHit"))
        elif output_tokens is not None:
            del kind[key]
            tell(as_evidence(outcome, output_tokens, cost_usd, usage))
        if kind is self._answered and self._given_up:
            # The call has its answer: whatever it gave up before was a failure.
            for old in [
                old for old in self._given_up if old.call_id == call_id and old.attempt < key.attempt
            ]:
                self._finished(_retried(self._given_up.pop(old)))
        return True

    def age(self, now: float) -> None:
        """What was given up long ago has failed."""
        while self._given_up:
            key = next(iter(self._given_up))
            if now - (self._given_up[key].at_s or 0.0) < GIVEN_UP_S:
                break
            self._finished(_retried(self._given_up.pop(key)))

    def __len__(self) -> int:
        """Attempts that are closed here and not finished."""
        return len(self._answered) + len(self._given_up)

    def _waiting(
        self, call_id: str
    ) -> tuple[AttemptKey, OrderedDict[AttemptKey, Outcome], Callable[[Outcome], None]] | None:
        """The attempt that the call's usage belongs to, where it waits, and who is to be told."""
        for kind, tell in ((self._given_up, self._finished), (self._expired, self._amended)):
            key = self._latest(kind, call_id, over=True)
            if key is not None:
                return key, kind, tell
        key = self._latest(self._answered, call_id)
        return None if key is None else (key, self._answered, self._finished)

    def _latest(
        self, of: Mapping[AttemptKey, Outcome], call_id: str, over: bool = False
    ) -> AttemptKey | None:
        if not of:
            return None
        for attempt in range(self._attempts_of(call_id) - 1, -1, -1):
            key = AttemptKey(call_id, attempt)
            if key in of and (not over or of[key].closed_by == "late"):
                return key
        return None


def _retried(outcome: Outcome) -> Outcome:
    return outcome._replace(error="Retried")
