"""Recovery trials: single requests that find out whether a deployment is better than it is believed to be.

A deployment that looks slow gets no requests, so nothing could show that it is not slow any more. A trial
sends it one, if it would be the best choice were it as quick as it may well be by now (`aging`). What a
trial can cost is bounded:

- in share: one of `share` of all requests, on average;
- in harm: not where the forecast is `max_loss_s` longer than on the best deployment, and never a request with
  a strict service level that another deployment keeps;
- in number: one at a time for each deployment, and a pause after it. The pause is FIRST_PAUSE_S, twice as
  long after each trial that showed nothing better, up to LAST_PAUSE_S, and none after one that did.

So a deployment that has recovered is found within LAST_PAUSE_S and the time of an answer, as long as there
are requests enough for the share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.types import BoolArray, FloatArray, IntArray

FIRST_PAUSE_S = 10.0
LAST_PAUSE_S = 300.0
LAST_INFORMING_PAUSE_S = 60.0
"""Longest pause between requests that would else be refused: they lose nothing."""
_LONGEST_S = 120.0
"""A trial that nothing was heard of for so long counts as one that showed nothing."""
_LOOK_EVERY_S = 0.25
"""How often it is worked out whether a trial is due."""
_SAVED = 2.0
"""Trials that may be saved up while none is due."""
_BETTER = -0.1
"""Log of measured / forecast E2E below which a trial showed something better."""
_THIN = 50
"""With fewer answers than that, what is known of a deployment's tail is mostly prior."""
_STALE_S = 60.0
"""What was measured longer ago may have changed."""


class Prospects(Protocol):
    """What is known of how deployments may fare, by the learner's rows."""

    @property
    def measured(self) -> IntArray:
        """Number of answers by row."""

    def hoped(self, rows: IntArray, now: float) -> FloatArray:
        """(2, n) factors, at most 1, to which TPOT and TTFT may well have fallen."""

    def seen_s(self, rows: IntArray) -> FloatArray:
        """(n,) when each was last measured; -inf for never."""


class Trials:
    """When each of a growing number of deployments may be tried, by the learner's rows."""

    def __init__(self) -> None:
        self._sent_s: FloatArray = np.zeros(0)
        self._pause_s: FloatArray = np.zeros(0)
        self._open: BoolArray = np.zeros(0, dtype=np.bool_)
        self._allowance = 0.0
        self._look_s = -np.inf

    def add(self) -> None:
        """Add a deployment."""
        self._sent_s = np.append(self._sent_s, -np.inf)
        self._pause_s = np.append(self._pause_s, 0.0)
        self._open = np.append(self._open, False)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self._sent_s[row], self._pause_s[row], self._open[row] = -np.inf, 0.0, False

    def asked(self, share: float) -> None:
        """One more request of which `share` may be a trial."""
        self._allowance = min(self._allowance + share, _SAVED)

    def to_look(self, now: float) -> bool:
        """Whether it is time to see if a trial is due; then not again for a moment."""
        if self._allowance < 1.0 or now < self._look_s:
            return False
        self._look_s = now + _LOOK_EVERY_S
        return True

    def due(self, rows: IntArray, now: float, longest_pause_s: float = LAST_PAUSE_S) -> BoolArray:
        """(n,) which of these rows may be tried now."""
        since_s = now - self._sent_s[rows]
        waits = self._open[rows] & (since_s < _LONGEST_S)
        due: BoolArray = ~waits & (since_s >= np.minimum(self._pause_s[rows], longest_pause_s))
        return due

    def next_s(self, rows: IntArray, now: float) -> float:
        """Seconds until the soonest of these rows may be tried, at least one."""
        pause_s = np.minimum(self._pause_s[rows], LAST_INFORMING_PAUSE_S)
        return max(float((self._sent_s[rows] + pause_s - now).min()), 1.0)

    def sent(self, row: int, now: float, informing: bool = False) -> None:
        """A trial goes there. One that informs, being refused else, costs nothing of the share."""
        if not informing:
            self._allowance -= 1.0
        if self._open[row]:
            self._longer(row)  # of the one before nothing was heard
        self._sent_s[row], self._open[row] = now, True

    def heard(self, row: int, log_ratio: float) -> None:
        """Something was measured there: measured / forecast E2E, in log; inf where there was no answer."""
        if self._open[row]:
            self._open[row] = False
            if log_ratio < _BETTER:
                self._pause_s[row] = 0.0
            else:
                self._longer(row)

    def satisfied(self, row: int) -> None:
        """It is chosen by itself: nothing is owed to it any more."""
        self._pause_s[row] = FIRST_PAUSE_S

    def improving(self, rows: IntArray) -> BoolArray:
        """(n,) whether the last trial of each showed something better."""
        better: BoolArray = (self._pause_s[rows] == 0.0) & np.isfinite(self._sent_s[rows])
        return better

    def _longer(self, row: int) -> None:
        self._pause_s[row] = min(max(2.0 * self._pause_s[row], FIRST_PAUSE_S), LAST_PAUSE_S)


@dataclass(slots=True)
class FleetTrials:
    """Trials as they hold for the N candidates of a decision."""

    trials: Trials
    prospects: Prospects
    rows: IntArray
    """(N,) rows of the candidates in `trials`,"""
    pace_rows: IntArray
    """and in `prospects`."""

    def hopeful(self, times: LatencyForecast, due: BoolArray, now: float) -> LatencyForecast:
        """The forecast with the candidates that are `due` as quick as they may well be."""
        tpot, ttft = self.prospects.hoped(self.pace_rows, now)
        first_s = times.ttft_s * ttft
        e2e_s = first_s + (times.e2e_s - times.ttft_s) * tpot
        return replace(
            times,
            ttft_s=np.where(due, first_s, times.ttft_s),
            tpot_s=np.where(due, times.tpot_s * tpot, times.tpot_s),
            e2e_s=np.where(due, e2e_s, times.e2e_s),
        )

    def due(self, now: float) -> BoolArray:
        """(N,) which candidates may be tried."""
        return self.trials.due(self.rows, now)

    def due_to_inform(self, now: float) -> BoolArray:
        """(N,) which may be tried with a request that would else be refused.

        Only those of which little is known, or nothing lately, or of which the last trial brought good news.
        """
        thin = self.prospects.measured[self.pace_rows] < _THIN
        stale = now - self.prospects.seen_s(self.pace_rows) > _STALE_S
        wanted = thin | stale | self.trials.improving(self.rows)
        soon = self.trials.due(self.rows, now, 1.0)
        later = self.trials.due(self.rows, now, LAST_INFORMING_PAUSE_S)
        found: BoolArray = wanted & np.where(thin, soon, later)
        return found

    def next_s(self, allowed: BoolArray, now: float) -> float | None:
        """Seconds until one of these may be tried; None where enough is known of all."""
        rows, pace = self.rows[allowed], self.pace_rows[allowed]
        unknown = (self.prospects.measured[pace] < _THIN) | (now - self.prospects.seen_s(pace) > _STALE_S)
        rows = rows[unknown | self.trials.improving(rows)]
        return self.trials.next_s(rows, now) if rows.size else None
