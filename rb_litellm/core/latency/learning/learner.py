"""Learn the latency coefficients of deployments from measurements, starting from priors.

There are two speeds of learning, the simplest form of partial pooling:

- The *shape* (idle time, growth with load and with prompt length) is learned slowly, by a regression over all
  deployments of a tier, which run one model on one kind of hardware (see `regression`).
- The *scale* of each deployment against its tier is learned fast, as an exponentially weighted moving average
  (EWMA) of log(measured / expected), clipped to a factor of 4. Its gain is 1 / (n + 3) for the n-th
  measurement and never below 0.12, about the last eight. So a deployment that becomes three times slower is
  priced so within a few dozen of its own requests, and one odd measurement moves little. `pooling` says how
  far a difference within a tier is believed.

TTFT and TPOT are learned separately: a deployment can be slow to start and quick to write. But the first
token is the first sign of a change, often long before an answer is complete. So its time is learned when it
comes, and moves the scale of TPOT a little until answers say more. Where streams that are still open strongly
contradict TPOT as learned, their `DecodeSpeed` (see `stream_progress`) corrects it for as long.

An answer in one piece shows only its total time. Of many lengths, totals tell both parts: the two scales of a
deployment are a state of two numbers with a covariance, each total a measurement of their mean weighted by
the parts' shares of it (`total_time`). An attempt that was not answered within t says that an answer takes t
at least; what such bounds add stands apart (`scales`). Beliefs age (`aging`): what was not measured for long
goes back to its habit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior
from rb_litellm.core.latency.learning.aging import Aging
from rb_litellm.core.latency.learning.evidence import taught_by
from rb_litellm.core.latency.learning.learned import LearnedTimes
from rb_litellm.core.latency.learning.prefill_share import PrefillShare
from rb_litellm.core.latency.learning.regression import Regression
from rb_litellm.core.latency.learning.scales import Scales
from rb_litellm.core.latency.learning.tier import TPOT, TTFT, Kind, Tier, Tiers
from rb_litellm.core.latency.learning.total_time import OF_DEPLOYMENT, TotalTime
from rb_litellm.core.servers.stream_progress import DecodeSpeed
from rb_litellm.core.servers.streams import Stream
from rb_litellm.core.types import FloatArray, IntArray, Outcome

_CLIP = math.log(4.0)
"""One measurement counts for at most a factor of four, so that an outlier moves little."""
_GAIN_FLOOR = 0.12
"""Least gain of the moving average of a deployment's scale."""
_HINT = 0.06
"""Gain with which the residual of a first token moves the scale of TPOT."""
_BOUND_GAIN = 0.3
"""Least gain of an attempt that was not answered: it says how long an answer takes at least."""
_AGED = 0.02
"""A forecast is worked out anew when age has changed it by so much, in log,"""
_MOST_AGED = 64
"""of at most so many tiers at a time."""
NEWER_S = 30.0
"""Another worker's evidence is taken over if it is newer by so much than one's own."""
_ADOPTED = 20
"""Measurements of another worker that are counted at most: one's own soon weigh as much."""
_KINDS: tuple[Kind, Kind] = (TPOT, TTFT)


class LatencyLearner:
    """Latency coefficients of a growing list of deployments, learned from measurements.

    Its rows count from 0 in the order in which deployments are added.
    """

    def __init__(self) -> None:
        self._tiers = Tiers()
        self._scales = Scales()
        self._decode_speeds: list[DecodeSpeed] = []
        self._factor: FloatArray = np.ones(0)
        """(N,) correction of TPOT by the decode speed of open streams."""
        self._totals: list[TotalTime] = []
        self._prefill_share = PrefillShare()
        self._aging = Aging()
        self._shape_level: FloatArray = np.zeros((2, 0))
        """(2, N) log of the first coefficient of each row's tier."""
        self._now = 0.0
        """The latest moment that is known of."""
        self._coefficients = LatencyCoefficients.from_priors([])
        self._stale: set[tuple[int, Kind]] = set()
        """Tiers and kinds of time that were learned from since their coefficients were computed."""
        self._free: list[int] = []
        """Rows of deployments that are gone."""

    def __len__(self) -> int:
        return self._tiers.rows

    @property
    def coefficients(self) -> LatencyCoefficients:
        """By row, as learned so far; computed when asked for, once for all that was learned since."""
        for tier, kind in self._stale:
            self._refresh(self._tiers[tier], kind)
        self._stale.clear()
        return self._coefficients

    def tier_row(self, row: int) -> int:
        """The number of the tier of the deployment at `row`; tiers count from 0 in order of appearance."""
        return self._tiers.number(row)

    def add(self, tier: str, prior: LatencyPrior) -> int:
        """Add a deployment of the given tier and return its row: that of one that is gone, if there is any.

        The first deployment of a tier sets the tier's prior. Later ones start from what the tier has learned.
        """
        if self._free:
            return self._taken_over(self._free.pop(), tier, prior)
        row = self._tiers.add(tier, prior)
        found = self._tiers.of(row)
        self._scales.add()
        self._decode_speeds.append(DecodeSpeed())
        self._factor = np.append(self._factor, 1.0)
        self._totals.append(TotalTime(OF_DEPLOYMENT))
        self._prefill_share.add()
        level = np.array([found.level(TPOT), found.level(TTFT)])
        self._aging.add(level, self._now)
        self._shape_level = np.append(self._shape_level, level[:, None], axis=1)
        self._coefficients = self._coefficients.with_row(prior)
        self._slots_changed(row)
        return row

    def forget(self, row: int) -> None:
        """The deployment at `row` is gone, and the row is the next one's who is added."""
        self._tiers.take_out(row)
        self._scales.forget(row)
        self._prefill_share.forget(row)
        self._decode_speeds[row], self._factor[row] = DecodeSpeed(), 1.0
        self._totals[row] = TotalTime(OF_DEPLOYMENT)
        self._aging.anew(row, self._shape_level[:, row], self._now)
        for kind in _KINDS:
            self._outdated(kind, row)
        self._free.append(row)

    def _taken_over(self, row: int, tier: str, prior: LatencyPrior) -> int:
        self._tiers.put(row, tier, prior)
        found = self._tiers.of(row)
        level = np.array([found.level(TPOT), found.level(TTFT)])
        self._aging.anew(row, level, self._now)
        self._shape_level[:, row] = level
        self._coefficients.put(row, prior)
        self._slots_changed(row)
        return row

    def run_at_once(self, row: int, slots: float) -> None:
        """A deployment's server runs so many requests at once."""
        if slots != self._coefficients.slots[row]:
            self._coefficients.slots[row] = slots
            self._slots_changed(row)

    def _slots_changed(self, row: int) -> None:
        tier = self._tiers.of(row)
        anew = tier.slots_changed(self._coefficients.slots[tier.rows])
        for kind in _KINDS:
            self._outdated(kind, row)
        if anew:
            # What came before was learned as slowness of a server with room.
            for its, outcome in tier.latest:
                self._learn_pace(its, outcome)

    def first_token(self, row: int, outcome: Outcome) -> None:
        """Learn from the first token of an attempt that is still open; `observe` then skips its TTFT."""
        self._pass_to(outcome)
        residual = self._learn_ttft(row, outcome)
        if residual is not None:
            self._move(TPOT, row, _HINT * residual)

    @property
    def measured(self) -> IntArray:
        """Number of answers (N,) by row whose TPOT or TTFT was measured."""
        either: IntArray = np.maximum(*self._scales.measured)
        return either

    def measured_at(self, row: int) -> int:
        """Number of answers of this row whose TPOT or TTFT was measured."""
        tpot, ttft = self._scales.measured[:, row].tolist()
        return max(int(tpot), int(ttft))

    def observe(self, row: int, outcome: Outcome) -> None:
        """Learn from one closed attempt on the deployment at `row`, as far as it is evidence of its speed."""
        self._pass_to(outcome)
        taught = taught_by(outcome)
        if taught.lower_bound and outcome.ttft_s is None:
            self._learn_bound(row, outcome)
        if not taught.times:
            return
        self._tiers.of(row).latest.append((row, outcome))
        self._learn_pace(row, outcome)
        if outcome.in_one_piece:
            return
        self._decode_speeds[row].observe_answer(outcome.output_tokens, outcome.chunks)
        if not outcome.first_token_learned:
            self._learn_ttft(row, outcome)

    def _learn_pace(self, row: int, outcome: Outcome) -> None:
        if outcome.in_one_piece:
            self._learn_total(row, outcome)
        elif outcome.tpot_s is not None and outcome.tpot_s > 0.0:
            beside = self._beside(row, outcome)
            self._learn(TPOT, row, Tier.tpot_features(beside), outcome.tpot_s)
            self._prefill_share.observe(row, outcome, beside, self._coefficients.at(row))

    def _beside(self, row: int, outcome: Outcome) -> float:
        """Requests that ran beside it while it was written, or those that it met where that is not known."""
        others = outcome.in_flight if outcome.beside is None else outcome.beside
        return min(others, float(self._coefficients.slots[row]) - 1.0)

    def age(self, now: float) -> None:
        """Let the time pass: beliefs without fresh evidence go back to their habits. Every second or so."""
        self._now = max(self._now, now)
        if not len(self):
            return
        drift = self._aging.drift(self._scales.believed, self._goal(now), self._now)
        for kind, row in self._scales.aged(drift, _AGED, _MOST_AGED):
            self._outdated(_KINDS[kind], row)

    def hoped(self, rows: IntArray, now: float) -> FloatArray:
        """(2, n) factors, at most 1, to which TPOT and TTFT of these rows may well have fallen by now."""
        level = self._scales.present()[:, rows]
        # What open streams show is of this moment, and no belief that may be out of date.
        optimism = self._aging.optimism(level, self._goal(now)[:, rows], rows, max(now, self._now))
        factors: FloatArray = np.exp(-optimism)
        return factors

    def seen_s(self, rows: IntArray) -> FloatArray:
        """(n,) when each of these rows was last measured at all; -inf for never."""
        latest: FloatArray = self._aging.seen_s[:, rows].max(axis=0)
        return latest

    def learned(self, row: int) -> LearnedTimes | None:
        """What is known of a row by its own measurements; None where it has none."""
        counted = self.measured_at(row)
        if not counted:
            return None
        c, habit = self.coefficients, np.exp(self._aging.habit[:, row])
        # The speed of this moment is nobody's habit.
        factor = float(self._factor[row])
        return LearnedTimes(
            float(c.tpot_s[row]) / factor,
            float(c.tpot_s_per_running[row]) / factor,
            float(c.ttft_s[row]),
            float(c.prefill_s_per_token[row]),
            float(c.ttft_s_per_running[row]),
            float(habit[TPOT]),
            float(habit[TTFT]),
            0.0,
            float(c.prefill_share[row]),
            counted,
            float(self._aging.seen_s[:, row].max()),
        )

    def adopt(self, row: int, times: LearnedTimes) -> bool:
        """Take over what another worker has learned of a row, if that is newer; whether it was.

        `seen_s` of `times` is on this learner's clock.
        """
        own_s = float(self._aging.seen_s[:, row].max())
        if times.seen_s <= own_s + NEWER_S:
            return False
        tier = self._tiers.of(row)
        if not self._scales.measured[:, tier.rows].any():
            tier.adopt(times)
        levels_s = (times.tpot_s, times.ttft_s)
        for kind, shape, level_s in zip(_KINDS, (tier.tpot, tier.ttft), levels_s, strict=True):
            scale = math.log(level_s / shape.weights[0])
            self._scales.adopt(kind, row, scale, min(times.measured, _ADOPTED))
            self._outdated(kind, row)
        self._prefill_share.assume(row, times.prefill_share)
        habit = np.log([times.habit_tpot_s, times.habit_ttft_s])
        self._aging.adopt(row, habit, times.seen_s)
        return True

    def _goal(self, now: float) -> FloatArray:
        """(2, N) log scales to which beliefs without evidence return."""
        goal = self._aging.goal(now) - self._shape_level
        tiers = (tier.rows for tier in self._tiers)
        return self._aging.as_fresh_ones(goal, self._scales.believed, tiers, now)

    def _pass_to(self, outcome: Outcome) -> None:
        if outcome.at_s is not None:
            self._now = max(self._now, outcome.at_s)

    @property
    def contradicted(self) -> IntArray:
        """Rows of deployments whose streams contradict TPOT as learned from answers."""
        return np.flatnonzero(self._factor != 1.0)

    def observe_streams(
        self, row: int, in_flight: float, streams: Sequence[Stream], now: float
    ) -> float | None:
        """Learn how fast the deployment at `row` writes now, from its open streams at this load.

        Call it about once a second; for a deployment in `contradicted`, without streams too. `now` is
        monotonic, in s. Returns the present TPOT in s if it is longer than learned from answers.
        """
        decode_speed, c = self._decode_speeds[row], self.coefficients
        others = min(max(in_flight - 1.0, 0.0), float(c.slots[row]) - 1.0)
        learned_s = c.at(row).tpot_at(others) / float(self._factor[row])
        decode_speed.observe(learned_s, streams, now)
        if decode_speed.factor != self._factor[row]:
            self._factor[row] = decode_speed.factor
            self._outdated(TPOT, row)
        return learned_s * decode_speed.factor if decode_speed.factor > 1.0 else None

    def _learn_ttft(self, row: int, outcome: Outcome) -> float | None:
        # The TTFT of a request that had to queue is mostly the decoding of others and says little of prefill.
        if outcome.ttft_s is None or outcome.ttft_s <= 0.0:
            return None
        engine = self._coefficients.at(row)
        if outcome.in_flight >= engine.slots:
            return None
        tier = self._tiers.of(row)
        features = tier.ttft_features(outcome)
        tpot_s = tier.tpot.at(Tier.tpot_features(outcome.in_flight))
        tpot_s *= self._scales.learned(TPOT, row)
        join_s = engine.joined(outcome, outcome.in_flight) * tpot_s
        return self._learn(TTFT, row, features, outcome.ttft_s, join_s)

    def _learn(
        self,
        kind: Kind,
        row: int,
        features: tuple[float, ...],
        measured_s: float,
        known_s: float = 0.0,
    ) -> float:
        """Learn from one measured time, of which `known_s` is another matter.

        Returns the clipped log of measured / expected before it.
        """
        tier = self._tiers.of(row)
        shape = tier.shape(kind)
        self._settle_age(kind, row)
        if self._scales.is_bound(row):
            unbound_s = shape.at(features) * self._scales.learned(kind, row) + known_s
            self._scales.answered(kind, row, measured_s / unbound_s)
        scale = self._scales.learned(kind, row)
        before = shape.at(features) * scale + known_s
        shape.observe(features, measured_s / scale, known_s / scale)
        gain = self._gain(kind, row)
        self._totals[row].measured(kind)
        tier.total.measured(kind)
        self._move(kind, row, gain * _clipped(measured_s / (shape.at(features) * scale + known_s)))
        self._note(kind, row, shape)
        return _clipped(measured_s / before)

    def _learn_total(self, row: int, outcome: Outcome) -> None:
        """Learn from the total time of an answer in one piece."""
        if outcome.output_tokens is None or outcome.open_s <= 0.0:
            return
        engine = self._coefficients.at(row)
        if outcome.in_flight >= engine.slots:
            return
        tier = self._tiers.of(row)
        features = (Tier.tpot_features(self._beside(row, outcome)), tier.ttft_features(outcome))
        shapes = (tier.tpot, tier.ttft)
        steps = (max(outcome.output_tokens - 1.0, 0.0) + engine.joined(outcome, outcome.in_flight), 1.0)
        for kind in _KINDS:
            self._settle_age(kind, row)
        expected = [shapes[kind].at(features[kind]) * steps[kind] for kind in _KINDS]
        if self._scales.is_bound(row):
            unbound_s = sum(expected[kind] * self._scales.learned(kind, row) for kind in _KINDS)
            for kind in _KINDS:
                self._scales.answered(kind, row, outcome.open_s / unbound_s)
        walked = max(self._aging.walked(kind, row, self._now) for kind in _KINDS)

        parts = [expected[kind] * self._scales.learned(kind, row) for kind in _KINDS]
        total_s = sum(parts)
        share, error = parts[TPOT] / total_s, _clipped(outcome.open_s / total_s)
        at_load = (tier.tpot.variance(features[TPOT]), tier.ttft.variance(features[TTFT]))
        doubt = tier.total.variance(share) + share**2 * at_load[TPOT] + (1.0 - share) ** 2 * at_load[TTFT]
        of_tier = tier.total.observe(share, error, walked, at_load=at_load)
        of_row = self._totals[row].observe(share, error, walked, doubt)
        for kind in _KINDS:
            if steps[kind]:
                # What is true of all deployments of a tier is no difference between them.
                level_s = shapes[kind].at(features[kind])
                shapes[kind].observe(features[kind], level_s * math.exp(of_tier[kind]))
                self._gain(kind, row)
                self._move(kind, row, of_row[kind])
                self._note(kind, row, shapes[kind])

    def _learn_bound(self, row: int, outcome: Outcome) -> None:
        """Learn from an attempt that was not answered as long as it was open."""
        predicted = outcome.predicted
        if predicted is None:
            return
        expected_s = predicted.wait_s + self.coefficients.at(row).answer_s(outcome, predicted.output_tokens)
        if outcome.open_s <= expected_s:
            return
        tier = self._tiers.of(row)
        kinds: tuple[Kind, ...] = (TPOT,) if outcome.ttft_s is not None else (TPOT, TTFT)
        for kind in kinds:
            self._settle_age(kind, row)
            gain = max(self._gain(kind, row), _BOUND_GAIN)
            self._scales.bounded_by(kind, row, gain * _clipped(outcome.open_s / expected_s))
            self._outdated(kind, row)
            self._note(kind, row, tier.shape(kind))

    def _gain(self, kind: Kind, row: int) -> float:
        """Count a measurement; its weight: much for the first ones, and for one after a long silence."""
        counted = self._scales.count(kind, row)
        return max(_GAIN_FLOOR, counted, self._aging.gain(kind, row, self._now))

    def _outdated(self, kind: Kind, row: int) -> None:
        """What is learned of the tier of `row` is to be worked out anew."""
        self._stale.add((self._tiers.number(row), kind))

    def _settle_age(self, kind: Kind, row: int) -> None:
        if self._scales.settle_age(kind, row):
            self._outdated(kind, row)

    def _note(self, kind: Kind, row: int, shape: Regression) -> None:
        level = math.log(shape.weights[0]) + self._scales.level(kind, row)
        self._aging.measured(kind, row, level, self._now)

    def _move(self, kind: Kind, row: int, step: float) -> None:
        moved = self._scales.move(kind, row, step)
        if kind == TPOT:
            self._decode_speeds[row].compensate(moved)
            self._factor[row] = self._decode_speeds[row].factor
        self._outdated(kind, row)

    def _refresh(self, tier: Tier, kind: Kind) -> None:
        rows = tier.rows
        if not rows.size:
            return  # All that were of this tier are gone.
        self._shape_level[kind][rows] = tier.level(kind)
        scale = self._scales.refreshed(kind, rows)
        if kind == TPOT:
            scale *= self._factor[rows]
            self._coefficients.prefill_share[rows] = self._prefill_share.of(rows)
        tier.write(kind, self._coefficients, scale)


def _clipped(ratio: float) -> float:
    return min(max(math.log(ratio), -_CLIP), _CLIP)
