"""The controller of one set of targets: it raises the price of what is above its bound, and lowers it again.

This is dual ascent on the Lagrangian of `objective` (online allocation with multiplicative updates, Balseiro,
Lu and Mirrokni, https://arxiv.org/abs/2011.10124): each request moves the logarithm of a price by a step
times its own excess over the bound, relative to the bound. What it is expected to cost, to take and to be
worth moves the price at the decision, so that nothing waits for answers; what it then did differently moves
it when that is known. So over n requests a mean is off its bound by no more than
(change of the log price) / (step * n), whatever the forecasts are worth.

Steps are bounded: a request moves a log price by MOST_MOVE at most, and what is beyond is carried over,
itself bounded by MOST_CARRIED. Prices are bounded too, and nothing is carried beyond a bound (anti-windup).

Where bounds cannot be met together, the cost is met first, then the time, then the quality: their highest
prices are in this order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rb_litellm.core.targets.objective import Targeted, late
from rb_litellm.core.targets.stated import LATE, NAMES, Name, Targets

STEP: dict[Name, float] = {"cost_usd_per_1k": 0.02, "e2e_p95_s": 0.01, "quality_min": 0.05}
"""Change of a log price for an excess of the bound's own size. The excess of one late request is 19 times the
bound of one in twenty; that of a quality is a fraction of it."""
HIGHEST: dict[Name, float] = {"cost_usd_per_1k": 100.0, "e2e_p95_s": 30.0, "quality_min": 10.0}
LOWEST = 0.01
_LOWEST_LOG = math.log(LOWEST)
_HIGHEST_LOG = {name: math.log(highest) for name, highest in HIGHEST.items()}
_FIRST = 0.2
MOST_MOVE = 0.1
MOST_CARRIED = 2.0
_GRID = 0.01
"""Log prices are rounded to this, so that requests in a row share one objective."""
_KEPT = 1.0 - 1.0 / 1000.0
"""Of a running mean, with each request."""
_EARLY = 50
"""Requests before anything is said of a target."""
_OFF: dict[Name, float] = {"cost_usd_per_1k": 0.05, "e2e_p95_s": 0.1, "quality_min": 0.02}
"""A running figure this far beyond its bound, relatively, is off it: below that it may be chance."""


class Expected(NamedTuple):
    """What is expected of a request where it was sent, and the best there was for each figure."""

    cost_usd: float
    e2e_s: float
    quality: float
    least_cost_usd: float
    least_e2e_s: float
    most_quality: float


class Standing(NamedTuple):
    """How one target stands."""

    bound: float
    present: float
    """Running value of the figure, as measured where it is measured."""
    best: float
    """What would be reached if nothing else counted."""
    price: float
    word: str
    """`met`, `off`, `learning`, or `infeasible`: not even the best would meet it, or not with the others."""


class _Mean:
    """An exponentially weighted mean that starts as the plain mean."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.count = 0

    def add(self, value: float) -> None:
        self.count += 1
        self.value += (value - self.value) * max(1.0 / self.count, 1.0 - _KEPT)

    def amend(self, change: float) -> None:
        """A value that was added lately was too small by this."""
        if self.count:
            self.value += change * max(1.0 / self.count, 1.0 - _KEPT)


class _Quantile:
    """A running 95th percentile by stochastic approximation on the logarithm (Robbins and Monro)."""

    __slots__ = ("count", "log")

    def __init__(self) -> None:
        self.log = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        value = math.log(max(seconds, 1e-3))
        self.count += 1
        if self.count == 1:
            self.log = value
        above = value > self.log
        self.log += max(1.0 / self.count, 0.01) * ((1.0 - LATE) if above else -LATE)

    @property
    def seconds(self) -> float:
        return math.exp(self.log) if self.count else 0.0


class Controller:
    """Of one set of targets in one worker. See the module's docstring."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self._log_price = {name: math.log(_FIRST) for name in targets.given()}
        self._carried = dict.fromkeys(self._log_price, 0.0)
        self.excess = dict.fromkeys(NAMES, 0.0)
        """Sum of what this worker's requests were beyond each bound, relative to it; other workers add it."""
        self._mean = {name: _Mean() for name in ("cost_usd_per_1k", "quality_min")}
        self._best = {name: _Mean() for name in ("cost_usd_per_1k", "quality_min")}
        self._p95, self._best_p95 = _Quantile(), _Quantile()
        self._decided = 0
        self._at_highest = dict.fromkeys(self._log_price, 0)
        self._objective: Targeted | None = None

    @property
    def objective(self) -> Targeted:
        """The objective at the present prices; the same object until they change."""
        if self._objective is None:
            prices = {name: self.price(name) for name in NAMES}
            scale = 10.0 ** (round(10.0 * math.log10(self._best["cost_usd_per_1k"].value or 1.0)) / 10.0)
            self._objective = Targeted(
                self.targets,
                prices["cost_usd_per_1k"],
                prices["e2e_p95_s"],
                prices["quality_min"],
                usd_scale=scale / 1000.0,
            )
        return self._objective

    def price(self, name: Name) -> float:
        """The present price of a bound; 0 where it is not set."""
        if name not in self._log_price:
            return 0.0
        return math.exp(round(self._log_price[name] / _GRID) * _GRID)

    def decided(self, expected: Expected) -> None:
        """A request was sent somewhere."""
        self._decided += 1
        self._mean["cost_usd_per_1k"].add(1000.0 * expected.cost_usd)
        self._best["cost_usd_per_1k"].add(1000.0 * expected.least_cost_usd)
        self._mean["quality_min"].add(expected.quality)
        self._best["quality_min"].add(expected.most_quality)
        self._best_p95.add(expected.least_e2e_s)
        targets = self.targets
        excess: dict[Name, float] = {}
        if targets.cost_usd_per_1k is not None:
            excess["cost_usd_per_1k"] = 1000.0 * expected.cost_usd / targets.cost_usd_per_1k - 1.0
        if targets.e2e_p95_s is not None:
            excess["e2e_p95_s"] = float(late(expected.e2e_s, targets.e2e_p95_s)) / LATE - 1.0
        if targets.quality_min is not None:
            excess["quality_min"] = 1.0 - expected.quality / targets.quality_min
        self._add(excess)

    def finished(
        self, expected_cost_usd: float, expected_e2e_s: float, cost_usd: float | None, e2e_s: float | None
    ) -> None:
        """An attempt is over; None for a figure that was not measured: then the expected one stands, as it
        does where the figure is no finite number."""
        targets = self.targets
        excess: dict[Name, float] = {}
        if cost_usd is not None and math.isfinite(cost_usd):
            change = 1000.0 * (cost_usd - expected_cost_usd)
            self._mean["cost_usd_per_1k"].amend(change)
            if targets.cost_usd_per_1k is not None:
                excess["cost_usd_per_1k"] = change / targets.cost_usd_per_1k
        if e2e_s is not None and math.isfinite(e2e_s):
            self._p95.add(e2e_s)
            if targets.e2e_p95_s is not None:
                was = float(late(expected_e2e_s, targets.e2e_p95_s))
                excess["e2e_p95_s"] = (float(e2e_s > targets.e2e_p95_s) - was) / LATE
        self._add(excess)

    def heard(self, excess: dict[Name, float]) -> None:
        """Requests of other workers were beyond the bounds by these sums since they were last heard."""
        self._move({name: value for name, value in excess.items() if math.isfinite(value)})

    @property
    def decided_here(self) -> int:
        """Requests that this worker has sent."""
        return self._decided

    @property
    def log_prices(self) -> dict[Name, float]:
        """The present logarithms of the prices."""
        return dict(self._log_price)

    def adopt(self, log_prices: dict[Name, float]) -> None:
        """Start from the prices of another worker."""
        for name, value in log_prices.items():
            if name in self._log_price and math.isfinite(value):
                self._log_price[name] = min(max(value, _LOWEST_LOG), _HIGHEST_LOG[name])
        self._objective = None

    def standing(self) -> dict[Name, Standing]:
        """How each target stands."""
        return {name: self._standing(name, bound) for name, bound in self.targets.given().items()}

    def _add(self, excess: dict[Name, float]) -> None:
        for name, value in excess.items():
            self.excess[name] += value
        self._move(excess)

    def _move(self, excess: dict[Name, float]) -> None:
        for name, value in excess.items():
            if name not in self._log_price:
                continue
            owed = self._carried[name] + STEP[name] * value
            owed = min(max(owed, -MOST_CARRIED), MOST_CARRIED)
            move = min(max(owed, -MOST_MOVE), MOST_MOVE)
            wanted = self._log_price[name] + move
            held = min(max(wanted, _LOWEST_LOG), _HIGHEST_LOG[name])
            self._carried[name] = owed - move if held == wanted else 0.0
            self._log_price[name] = held
            highest = held >= _HIGHEST_LOG[name] - 0.05
            self._at_highest[name] = self._at_highest[name] + 1 if highest else 0
        self._objective = None

    def _standing(self, name: Name, bound: float) -> Standing:
        if name == "e2e_p95_s":
            present, best = self._p95.seconds or self._best_p95.seconds, self._best_p95.seconds
        else:
            present, best = self._mean[name].value, self._best[name].value
        sign = -1.0 if name == "quality_min" else 1.0
        word = "met"
        if self._decided < _EARLY:
            word = "learning"
        elif sign * (best - bound) > _OFF[name] * bound or self._at_highest[name] > _EARLY:
            word = "infeasible"
        elif sign * (present - bound) > _OFF[name] * bound:
            word = "off"
        return Standing(bound, present, best, self.price(name), word)
