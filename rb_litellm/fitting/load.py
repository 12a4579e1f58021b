"""What else was on a deployment while each of its calls was open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray
from rb_litellm.logs.spend_logs import LoggedCall


@dataclass(frozen=True, slots=True)
class Timings:
    """C calls of one deployment as arrays of shape (C,), with the load that each met."""

    ttft_s: FloatArray
    """NaN for answers in one piece and for streams whose first token is not believed."""
    e2e_s: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    cost_usd: FloatArray
    open: FloatArray
    """Requests on the deployment, itself included, on average over its time."""
    prefilled_before: FloatArray
    """Others' input tokens prefilled between its start and its first token."""
    prefilled_after: FloatArray
    """And between its first token and its end."""

    def take(self, chosen: BoolArray) -> Timings:
        """Of the chosen calls alone, which met the same load."""
        return Timings(*(getattr(self, name)[chosen] for name in self.__slots__))

    def joined(self, other: Timings) -> Timings:
        """Of both."""
        return Timings(
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__)
        )


def timings(calls: list[LoggedCall]) -> Timings:
    """Of all calls of one deployment."""
    # From the first call on: near 1970 + 56 years a float's last digit is a quarter of a microsecond.
    origin = min((call.start_s for call in calls), default=0.0)
    starts = np.array([call.start_s - origin for call in calls])
    ends = np.array([max(call.end_s - origin, call.start_s - origin + 1e-6) for call in calls])
    seen = np.array([np.nan if c.first_token_s is None else c.first_token_s - origin for c in calls])
    tokens = np.array([float(call.input_tokens) for call in calls])
    # Where no first token was seen, prefill is taken to be at the start.
    firsts = np.where(np.isnan(seen), starts, seen)
    prefilled = _cumulative(firsts, tokens)
    return Timings(
        ttft_s=seen - starts,
        e2e_s=ends - starts,
        input_tokens=tokens,
        output_tokens=np.array([float(max(call.output_tokens, 1)) for call in calls]),
        cost_usd=np.array([call.cost_usd for call in calls]),
        open=_mean_open(starts, ends),
        prefilled_before=np.maximum(prefilled(firsts) - prefilled(starts) - tokens * (firsts > starts), 0.0),
        prefilled_after=np.maximum(prefilled(ends) - prefilled(firsts), 0.0),
    )


def _cumulative(times: FloatArray, amounts: FloatArray) -> Callable[[FloatArray], FloatArray]:
    order = np.argsort(times, kind="stable")
    moments, sums = times[order], np.concatenate([[0.0], np.cumsum(amounts[order])])
    return lambda until: np.asarray(sums[np.searchsorted(moments, until, side="right")], dtype=np.float64)


def _mean_open(starts: FloatArray, ends: FloatArray) -> FloatArray:
    times = np.concatenate([starts, ends])
    order = np.argsort(times, kind="stable")
    steps = np.concatenate([np.ones(starts.size), -np.ones(ends.size)])[order]
    times = times[order]
    # Area under the number of open calls up to each event; linear in between.
    area = np.concatenate([[0.0], np.cumsum(np.cumsum(steps)[:-1] * np.diff(times))])
    open_area = np.interp(ends, times, area) - np.interp(starts, times, area)
    return np.asarray(np.maximum(open_area / (ends - starts), 1.0), dtype=np.float64)
