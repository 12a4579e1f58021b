"""How likely a deployment is to fail a request, in which way, and what that is expected to cost.

Failures of the last minutes count, each half as much after another minute, beside the answers of the same
time and one more that is taken for granted. Of answers before the first failure at most 20 count, so that a
server that begins to fail is soon known. What other workers have seen is added to one's own.

An attempt that fails costs the time until it has failed, as measured: next to nothing where a connection is
refused, the whole time limit where nobody answers. A stream that breaks off costs its prompt and what was
written of it, too. Where each failure is followed by another attempt, an answer costs beside itself

    (lost seconds + retries) / answers        and        lost tokens / answers

of these minutes. This is the form that puts alternatives in the best order to try them: to ask first where
time + losses / answers is least makes the expected time until an answer least. It depends on the candidate
alone, grows with each failure, and is zero where there is none. To it comes the chance that none is left:
that the attempt fails and all its retries elsewhere do, or that it breaks off in mid-stream, where nobody
tries again. Whoever gets an error then looks for another way, which is taken to cost a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from rb_litellm.core.latency.learning.evidence import Failure
from rb_litellm.core.types import BoolArray, FloatArray, IntArray, Losses

HALF_LIFE_S = 60.0
RETRY_S = 0.1
"""What another attempt costs beside its time: the way through the proxy, the choice, the connection."""
UNANSWERED_S = 60.0
"""What it costs a client to get an error instead of an answer."""
MOST_ANSWERS = 20.0
"""Answers before the first failure that are counted."""
MOST_LOST_S = 600.0
"""One failure counts for no more than that."""
MOST_HEARD = 10_000.0
"""Attempts of one kind on one deployment that others are believed to have seen,"""
MOST_TOKENS = 1_000_000.0
"""and tokens that a stream which broke off is believed to have cost."""
RETRIES = 2
"""How often LiteLLM sends a request again if nothing else is set."""
MOST_RETRIES = 8
"""Further ones are not looked at."""
_FIGURES = 7
_KINDS = {kind: column for column, kind in enumerate(Failure)}
_CUT, _ANSWERS, _LOST_S, _TOKENS = 3, 4, 5, 6
_FADED = 0.01
"""Of a failure, when it is forgotten."""


@dataclass(slots=True)
class Failing:
    """What is to be expected of N candidates of which some fail; every array has shape (N,)."""

    chance: FloatArray
    """That an attempt fails, in whatever way."""
    cut: FloatArray
    """That a stream breaks off before there is an answer, however often one tries,"""
    retried: FloatArray
    """and that an attempt fails in another way before one is answered."""
    lost_s: FloatArray
    """Seconds that failing attempts cost for each answer,"""
    lost_inputs: FloatArray
    """prompts that are paid for nothing,"""
    lost_tokens: FloatArray
    """and output tokens."""

    def seconds(self, allowed: BoolArray, retries: int) -> FloatArray:
        """(N,) what failures cost a request that may go to these and will be sent again so often."""
        unanswered = self.cut + (1.0 - self.cut) * self.retried * none_left(self.chance, allowed, retries)
        seconds: FloatArray = self.lost_s + UNANSWERED_S * unanswered
        return seconds

    def usd(self, input_tokens: float, input_usd: FloatArray, output_usd: FloatArray) -> FloatArray:
        """(N,) what is paid for streams that break off, at these prices of a token."""
        paid: FloatArray = self.lost_inputs * input_tokens * input_usd + self.lost_tokens * output_usd
        return paid


def none_left(chance: FloatArray, allowed: BoolArray, retries: int) -> FloatArray:
    """(N,) chance that all retries of a request fail which has failed there.

    They go to the allowed ones that fail least, each once; then to the same one again. Each fails for itself.
    """
    retries = min(retries, MOST_RETRIES)
    its = chance[allowed]
    if retries and its.size - np.count_nonzero(its) > 1:
        return np.zeros(chance.size)  # The usual case: whoever it is, somebody else fails nobody.
    its.sort()
    others = min(retries, max(its.size - 1, 0))
    least = its[: others + 1].tolist()
    # Of the `others` + 1 that fail least, all but the one itself; all but the last for who is not among them.
    without = np.array([prod(least[:at] + least[at + 1 :]) for at in range(others + 1)])
    found: FloatArray = without[its[:others].searchsorted(chance)]
    return found if others == retries else found * chance ** (retries - others)


class Availability:
    """Of a growing number of deployments, by row. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self._own: FloatArray = np.zeros((0, _FIGURES))
        self._own_s: FloatArray = np.zeros(0)
        self._others: FloatArray = np.zeros((0, _FIGURES))
        self._others_s: FloatArray = np.zeros(0)
        self._others_failed = False
        self.any_failed = False
        """Whether there is anything to look at."""

    def add(self) -> None:
        """Add a deployment that has failed nobody."""
        self._own, self._others = (np.vstack([its, np.zeros(_FIGURES)]) for its in (self._own, self._others))
        self._own_s, self._others_s = np.append(self._own_s, 0.0), np.append(self._others_s, 0.0)

    def answered(self, row: int, now: float) -> None:
        """An attempt of this worker was answered there."""
        its = self._faded(row, now)
        its[_ANSWERS] += 1.0
        if not _failures(its):
            its[_ANSWERS] = min(its[_ANSWERS], MOST_ANSWERS)

    def failed(self, row: int, how: Failure, lost_s: float, paid_tokens: float, now: float) -> None:
        """One failed, after so long. `paid_tokens` are the output tokens of a stream that broke off."""
        its = self._faded(row, now)
        its[_KINDS[how]] += 1.0
        its[_LOST_S] += min(max(lost_s, 0.0), MOST_LOST_S)
        its[_TOKENS] += max(paid_tokens, 0.0)
        self.any_failed = True

    def forget(self, row: int) -> None:
        """Take what has failed there as never happened; `look` afterwards."""
        self._own[row] = self._others[row] = 0.0

    def told(self, row: int) -> Losses:
        """What this worker has seen itself, where something has failed; else nothing."""
        its = self._own[row]
        return Losses._make([*its.tolist(), float(self._own_s[row])]) if _failures(its) else Losses()

    def heard(self, row: int, others: Sequence[Losses], now: float) -> None:
        """What the other workers have seen; `look` after all of it."""
        its = np.zeros(_FIGURES)
        for losses in others:
            its += np.array(losses[:_FIGURES]) * _kept(now - losses.at_s)
        # Whatever stands in Redis, an hour later nothing of it counts any more.
        its[:_LOST_S] = np.minimum(its[:_LOST_S], MOST_HEARD)
        its[_LOST_S] = min(its[_LOST_S], MOST_LOST_S * _failures(its))
        its[_TOKENS] = min(its[_TOKENS], MOST_TOKENS * its[_CUT])
        self._others[row], self._others_s[row] = its, now

    def chances(self, rows: IntArray, now: float) -> FloatArray:
        """(4, n) chance of each kind of failure on these rows, in the order of `Failure`."""
        its = self._all(rows, now)
        of_kinds: FloatArray = its[:, :_ANSWERS].T / (its[:, : _ANSWERS + 1].sum(axis=1) + 1.0)
        return of_kinds

    def failing(self, rows: IntArray, now: float) -> Failing | None:
        """What is to be expected of these rows; None where none has failed lately."""
        if not self.any_failed:
            return None
        figures = self._all(rows, now).T
        failures, answers = figures[:_ANSWERS].sum(axis=0), figures[_ANSWERS] + 1.0
        if not np.count_nonzero(failures):
            return None
        cut = figures[_CUT]
        retried = failures - cut
        return Failing(
            failures / (failures + answers),
            cut / (cut + answers),
            retried / (retried + answers),
            (figures[_LOST_S] + RETRY_S * failures) / answers,
            cut / answers,
            figures[_TOKENS] / answers,
        )

    def _all(self, rows: IntArray, now: float) -> FloatArray:
        """(n, 7) all that is known, as of now."""
        own = self._own[rows]
        its: FloatArray = own * _kept(now - self._own_s[rows])[:, None]
        if self._others_failed:
            its += self._others[rows] * _kept(now - self._others_s[rows])[:, None]
        return its

    def _faded(self, row: int, now: float) -> FloatArray:
        its: FloatArray = self._own[row]
        its *= _kept(now - self._own_s[row])
        self._own_s[row] = max(now, self._own_s[row])
        if 0.0 < _failures(its) < _FADED:
            its[:_ANSWERS] = its[_LOST_S:] = 0.0
            its[_ANSWERS] = min(its[_ANSWERS], MOST_ANSWERS)
            self.look()
        return its

    def look(self) -> None:
        """Work out anew whether anybody fails: over all rows, so once for many changes."""
        self._others_failed = bool(self._others[:, :_ANSWERS].any())
        self.any_failed = self._others_failed or bool(self._own[:, :_ANSWERS].any())


def _failures(its: FloatArray) -> float:
    failures: float = sum(its[:_ANSWERS].tolist())
    return failures


def _kept(age_s: float | FloatArray) -> FloatArray:
    kept: FloatArray = np.exp2(np.maximum(age_s, 0.0) / -HALF_LIFE_S)
    return kept
