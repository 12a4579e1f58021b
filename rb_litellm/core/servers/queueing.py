"""When a request that had to queue began to be served, told from the ends of those that were there before it.

A server with c slots that serves in order of arrival (FCFS) begins the request that found m others there when
the (m - c + 1)-th of these has ended. So for each number of slots the wait of a request is known from what
was seen, without any forecast, and the rest of its time is its service:

    wait(c)     = 0 for m < c, else the time of the (m - c + 1)-th end since it was sent
    service(c)  = measured time - wait(c)

A service of nothing or less means that the request was served before c slots would have let it: the server
has more.

A worker among several sees the ends of its own requests alone. If m of the M that were there are its own,
then of the first n to end j are, with the probability of j marked ones among n drawn from M (hypergeometric):

    P(j) = C(m, j) C(M - m, n - j) / C(M, n)        n = M - c + 1

and then the request began between its own j-th and (j + 1)-th end.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.types import Ahead, FloatArray, IntArray, Outcome

_MOST_THERE = 4096
"""Requests on one server that are told apart."""
_LOG_FACTORIAL: FloatArray = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, _MOST_THERE + 1)))])


def waits(
    ahead: Ahead, slots: FloatArray, share: float = 1.0, requests: FloatArray | None = None
) -> FloatArray:
    """(C,) seconds for which the request would have waited with each number of slots (C,).

    `requests` (C,) is how many were ahead of it with each, where that differs.

    `share` is the part of the server's load that this worker has sent. Of the ends of all that the request
    has to wait for, it sees that part, and where that is no whole number, the time between two ends is parted
    in proportion. inf where the request would not have begun yet.
    """
    there = ahead.requests if requests is None else requests
    ends = np.array([0.0, *ahead.ended_s, math.inf])
    before = np.minimum(share * np.maximum(there / share - slots + 1.0, 0.0), ends.size - 1.0)
    whole = np.floor(before + 1e-9)
    at = whole.astype(np.int64)
    found: FloatArray = ends.take(at)
    part = before - whole
    if part.any():
        # After the last end that is known, nothing is known of the next one.
        gaps = np.array([*np.diff(ends[:-1]), 0.0, 0.0])
        found += np.maximum(part, 0.0) * gaps.take(at)
    return found


def began_after(ahead: Ahead, slots: FloatArray, share: float, ends: int) -> FloatArray:
    """(C, ends + 1) probability that so many of this worker's requests had ended when the request began.

    With each number of slots (C,); `share` as for `waits`, and below 1.
    """
    all_there = min(max(round(ahead.requests / share), ahead.requests), _MOST_THERE)
    own = min(ahead.requests, all_there)
    have_to_end = np.clip(np.rint(all_there - slots + 1.0), 0.0, all_there).astype(np.int64)[:, None]
    ended = np.arange(ends + 1)[None, :]
    others_ended = have_to_end - ended
    possible = (ended <= own) & (others_ended >= 0) & (others_ended <= all_there - own)
    ended, others_ended = np.where(possible, ended, 0), np.where(possible, others_ended, 0)
    log_ways = _log_ways(own, ended) + _log_ways(all_there - own, others_ended)
    log_ways -= _log_ways(all_there, have_to_end)
    found: FloatArray = np.where(possible, np.exp(log_ways), 0.0)
    return found


def _log_ways(of: int, drawn: IntArray) -> FloatArray:
    """Logarithm of the number of ways to draw so many of so many; impossible draws are the caller's."""
    drawn = np.minimum(drawn, of)
    ways: FloatArray = _LOG_FACTORIAL[of] - _LOG_FACTORIAL[drawn] - _LOG_FACTORIAL[of - drawn]
    return ways


def as_served(outcome: Outcome, wait_s: float, slots: float) -> Outcome:
    """The outcome as if the request had been sent when its service began, all slots but its own busy."""
    if wait_s <= 0.0 and outcome.company is None:
        return outcome
    # By the order of sending, which is not the order of service where several are sent together.
    queued = wait_s > 0.0 or outcome.in_flight >= slots
    return outcome._replace(
        open_s=outcome.open_s - wait_s,
        ttft_s=None if outcome.ttft_s is None else outcome.ttft_s - wait_s,
        in_flight=slots - 1.0 if queued else outcome.in_flight,
        # What was ahead in the queue has been prefilled during the wait.
        pending_prefill_tokens=0.0 if queued else outcome.pending_prefill_tokens,
    )
