"""What a finished attempt is evidence of, decided before anything is learned from it.

An answer from a cache says nothing of a server's speed, one that its client cut short says nothing of its
length, and an attempt that timed out says that an answer takes at least so long. Every learner asks here
which of these it has before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from rb_litellm.core.types import Outcome


class Evidence(Enum):
    """The classes of outcomes, and what each teaches."""

    WHOLE = "whole"
    """A complete answer with its usage."""
    CUT = "cut"
    """A stream that its client left: when it began is true; its length and its pace are not known."""
    ESTIMATED = "estimated"
    """A complete answer without usage: its length is estimated from its text."""
    PARALLEL = "parallel"
    """Several choices in one answer (n > 1): the usage is the sum over all of them."""
    UNTIMED = "untimed"
    """A cached or mocked answer, a background response, a websocket's session: no server was timed. And all
    that comes of a client's own account, which may have another quota, be elsewhere, or not exist."""
    CENSORED = "censored"
    """No answer after so long: a timeout, an expired lease, a client that stopped waiting."""
    LIMITED = "limited"
    """Refused for a rate limit or a quota (429)."""
    REJECTED = "rejected"
    """The request's own fault: its content, its length or its credentials."""
    FAILED = "failed"
    """The server's fault, or the network's."""
    UNKNOWN = "unknown"
    """An attempt that was given up for a retry: nobody says why."""


@dataclass(frozen=True, slots=True)
class Teaches:
    """Which beliefs an outcome changes."""

    times: bool = False
    """TTFT and time per output token, as far as they were measured."""
    length: bool = False
    """Output length, and E2E against the E2E that was forecast for the expected length."""
    lower_bound: bool = False
    """An answer takes at least as long as the attempt was open."""
    availability: bool | None = None
    """True: it answers. False: it does not. None: nothing is said of that."""


TEACHES: dict[Evidence, Teaches] = {
    Evidence.WHOLE: Teaches(times=True, length=True, availability=True),
    Evidence.CUT: Teaches(times=True, availability=True),
    Evidence.ESTIMATED: Teaches(times=True, availability=True),
    Evidence.PARALLEL: Teaches(times=True, availability=True),
    Evidence.UNTIMED: Teaches(),
    Evidence.CENSORED: Teaches(lower_bound=True),
    Evidence.LIMITED: Teaches(),
    Evidence.REJECTED: Teaches(),
    Evidence.FAILED: Teaches(availability=False),
    Evidence.UNKNOWN: Teaches(),
}

_OF_ERROR = {
    "CacheHit": Evidence.UNTIMED,
    "AnsweredElsewhere": Evidence.UNKNOWN,
    "Retried": Evidence.UNKNOWN,
    "Superseded": Evidence.UNKNOWN,
    "CancelledError": Evidence.CENSORED,
    "Timeout": Evidence.CENSORED,
    "TimeoutError": Evidence.CENSORED,
    "APITimeoutError": Evidence.CENSORED,
    "ReadTimeout": Evidence.CENSORED,
    "RateLimitError": Evidence.LIMITED,
    "BadRequestError": Evidence.REJECTED,
    "InvalidRequestError": Evidence.REJECTED,
    "ContextWindowExceededError": Evidence.REJECTED,
    "ContentPolicyViolationError": Evidence.REJECTED,
    "UnsupportedParamsError": Evidence.REJECTED,
    "UnprocessableEntityError": Evidence.REJECTED,
    "ImageFetchError": Evidence.REJECTED,
    "BudgetExceededError": Evidence.REJECTED,
    "MalformedRequestFieldError": Evidence.REJECTED,
    "RejectedRequestError": Evidence.REJECTED,
    "GuardrailRaisedException": Evidence.REJECTED,
    "BlockedPiiEntityError": Evidence.REJECTED,
    "NotSent": Evidence.REJECTED,
}


class Failure(Enum):
    """How an attempt fails for the server's fault, or the network's; the order is that of `Losses`."""

    REFUSED = "refused"
    TIMED_OUT = "timed out"
    ERROR = "error"
    CUT = "cut"


_REFUSED = "ConnectError"


def failure_of(outcome: Outcome) -> Failure:
    """How an attempt failed whose outcome says that it did."""
    if outcome.ttft_s is not None:
        return Failure.CUT
    if evidence_of(outcome) is Evidence.CENSORED:
        return Failure.TIMED_OUT
    return Failure.REFUSED if outcome.error == _REFUSED else Failure.ERROR


def evidence_of(outcome: Outcome) -> Evidence:
    """The class of an outcome."""
    if outcome.own_account:
        return Evidence.UNTIMED
    if outcome.error is not None:
        found = _OF_ERROR.get(outcome.error, Evidence.FAILED)
        if found is not Evidence.CENSORED or (outcome.timed and outcome.ttft_s is None):
            return found
        # A client that leaves after the first token has seen an answer, if not all of it. A stream that
        # stops for as long as the time limit has broken off.
        stopped = outcome.timed and outcome.error != "CancelledError"
        return Evidence.FAILED if stopped else Evidence.UNKNOWN
    if not outcome.timed:
        return Evidence.UNTIMED
    if outcome.closed_by in ("lease", "bound") and outcome.output_tokens is None:
        return Evidence.CENSORED if outcome.closed_by == "lease" else Evidence.UNKNOWN
    if outcome.cut:
        return Evidence.CUT
    if outcome.estimated:
        return Evidence.ESTIMATED
    return Evidence.PARALLEL if outcome.choices > 1 else Evidence.WHOLE


def taught_by(outcome: Outcome) -> Teaches:
    """What is to be learned from an outcome."""
    return TEACHES[evidence_of(outcome)]


def may_be_the_requests_fault(outcome: Outcome) -> bool:
    """Whether a server has answered a retry with an error: another one could do no more with the request.

    So a few requests that no server can answer take nobody out of service. They still count as failures.
    """
    return outcome.attempt > 0 and failure_of(outcome) is Failure.ERROR


def has_length(outcome: Outcome) -> bool:
    """Whether its tokens are those of the whole answer, as the server counted them."""
    parts = outcome.cut or outcome.estimated or outcome.limited or outcome.choices > 1
    return outcome.error is None and not parts


def log_error(outcome: Outcome) -> float:
    """Measured / forecast time at the length that the answer came to have, in log."""
    predicted = outcome.predicted
    if predicted is None or outcome.open_s <= 0.0:
        return 0.0
    tokens = predicted.output_tokens if outcome.output_tokens is None else outcome.output_tokens
    expected_s = predicted.ttft_s + max(tokens - 1.0, 0.0) * predicted.tpot_s
    return math.log(outcome.open_s / expected_s) if expected_s > 0.0 else 0.0
