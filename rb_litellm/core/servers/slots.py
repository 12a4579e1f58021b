"""How many requests a server runs at once, learned from what it tells and from the shape of what is measured.

The first guess is often wrong: vLLM's default is 256, a llama-server's one to four. With too many slots
assumed, a full server looks free, and its queue looks like slowness.

Every number of slots is a hypothesis. A request that met others is evidence: under each hypothesis its
service is its measured time less the wait that the ends of the others give (`queueing`), and that should be
what an unqueued request takes. So with x = log(service / expected service) a hypothesis c gains

    -log(1 + (x / s)^2)      s^2 = 0.4^2 + 1 / (n + 1), after n unqueued measurements
    -6                       where it would not have begun yet: it has been served, so c is too few

An end is seen late, when the program comes to it. A request that would have begun by a quarter of its wait,
or 50 ms, too early refutes nothing: an engine fills a slot at once, and so the first token of one that waited
comes together with the end of the one that it waited for. Of a stream, any service between the two counts as
the expected one if that lies there. Of answers in one piece, all ends are late alike; one that would have
begun a little too early counts as served quickly (x = -1).

While a wrong hypothesis is believed, its queue may be learned as slowness, and then too much is expected of
service. So each hypothesis learns in turn by how much service is quicker than expected under it, and is
judged by the rest. It does not learn that service is slower: that is how a wrong one would justify itself.
Where the server states what service took, there is nothing to expect, and all are judged by that.

(Student's t in place of the normal distribution: an outlier counts, and decides nothing.) Evidence fades by
1% with each further request, and one hypothesis leads by 12 at most, so that two requests refute what is
wrong. Another number is believed once it leads by 3, or by 8 where the operator or the server has told one.

A worker that has sent a part of the load does not see all ends. There c gains the log of its mean likelihood,
over how many of the worker's own may have been among those that had to end.

What a server tells is evidence of the same kind: while requests wait, those that run are its slots. What it
states as its slots is the first guess from then on. A KV cache that is nearly full is a second limit: of the
requests that run, each holds its part, so at use u there is room for running / u.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.servers.queueing import began_after, waits
from rb_litellm.core.types import Ahead, FloatArray

MAX_SERVERS = 4_096
"""Servers about which evidence is kept: the first ones."""
_LEAD = 3.0
_LEAD_OVER_TOLD = 8.0
MOST = 12.0
IMPOSSIBLE = 6.0
_TOLD = 2.0
KEPT = 0.99
_NOISE_VARIANCE = 0.4**2
LATE, LATE_S = 0.25, 0.05
"""An end may have been as much before it was seen, as a share of the wait for it or in s."""
QUICKER_MOST, QUICKER_STEP = 0.25, 0.02
"""Variance of what a hypothesis has learned too slowly, at most and added by each request."""
QUICK = -1.0
TIED = 1e-9
"""Evidence that differs by less is the same."""
LEAST_S = 1e-9
ALL = 0.9
"""From this share of a server's load on a worker sees the ends of all."""
_CONTESTED = 0.2
"""A wait that is disputed by this share of the measured time is not known."""
_CACHE_SPEAKS = 0.5
"""From this use of the KV cache on, its size is told by the requests that run."""
_CACHE_GAIN = 0.5
_NUMBERS: FloatArray = np.unique(np.rint(np.concatenate([np.arange(1, 33), np.geomspace(32, 2048, 40)])))


@dataclass(slots=True)
class _Server:
    guess: float
    """Slots that were assumed, or told by the operator or the server: see `guessed`."""
    told: bool = False
    """Whether it was told, by whomever,"""
    stated: bool = False
    """and by the server itself."""
    numbers: FloatArray = field(init=False)
    """(C,) all hypotheses: _NUMBERS, and the guess as the last. Not written to, like `quicker`."""
    evidence: FloatArray = field(default_factory=lambda: np.zeros(_NUMBERS.size + 1))
    """(C,) log odds of each."""
    quicker: FloatArray = field(default_factory=lambda: np.zeros(_NUMBERS.size + 1))
    """(C,) by how much service was quicker than expected under each hypothesis: a log, at most 0,"""
    doubt: FloatArray = field(default_factory=lambda: np.zeros(_NUMBERS.size + 1))
    """(C,) and its variance."""
    believed: int = -1
    """Which hypothesis."""
    in_cache: float = math.inf
    """Requests that the KV cache has room for."""

    def __post_init__(self) -> None:
        self.guessed(self.guess)

    def guessed(self, slots: float) -> None:
        """This is the guess from now on."""
        self.guess = slots
        self.numbers = np.append(_NUMBERS, slots)

    def slots(self) -> float:
        """As believed now."""
        believed = self.guess if self.believed == -1 else float(_NUMBERS[self.believed])
        return max(min(believed, self.in_cache), 1.0)

    def adjust(self, x: FloatArray, gain: FloatArray) -> None:
        """A request took exp(x) times what each hypothesis (C,) expected."""
        step = np.minimum(np.maximum(x, -1.0), 1.0)
        self.quicker = np.minimum(self.quicker + gain * step, 0.0)
        self.doubt = np.minimum(self.doubt * (1.0 - gain) + QUICKER_STEP, QUICKER_MOST)

    def add(self, evidence: FloatArray) -> int:
        """Weigh in evidence (C,), and change the belief where it says so; which hypothesis is best."""
        self.evidence = self.evidence * KEPT + evidence
        self.evidence -= self.evidence.max()
        np.maximum(self.evidence, -MOST, out=self.evidence)
        # Of numbers that do equally well the largest, for nothing speaks for a limit.
        best = int((self.evidence > -TIED).nonzero()[0][-1])
        self.judge(best)
        return best

    def judge(self, best: int) -> None:
        """Change the belief where the evidence says so, by which this hypothesis is best."""
        lead = _LEAD_OVER_TOLD if self.told and self.believed == -1 else _LEAD
        if self.evidence[self.believed] < -lead:
            self.believed = -1 if best == _NUMBERS.size else best


class _Served(NamedTuple):
    """A request that was served, as `Slots.observe` is told of it."""

    ahead: Ahead
    share: float
    measured_s: float
    expected_s: FloatArray
    """(C,)"""
    variance: float
    """Of the log of what is measured."""
    in_one_piece: bool
    requests: FloatArray | None
    stated: bool
    """Whether `expected_s` is what the server states: then no hypothesis has an own idea of it."""


class Slots:
    """Of servers by number. Not thread-safe."""

    def __init__(self) -> None:
        self._servers: dict[int, _Server] = {}

    def assume(self, server: int, slots: float, told: bool = False) -> None:
        """A first guess; of several the least, and what was `told` before a default.

        A hosted API, of `inf` slots, is left alone.
        """
        its = self._servers.get(server)
        if its is None:
            if math.isfinite(slots) and len(self._servers) < MAX_SERVERS:
                self._servers[server] = _Server(slots, told)
        elif its.believed == -1 and not its.stated and told >= its.told:
            its.guessed(slots if told > its.told else min(its.guess, slots))
            its.told = told

    def forget(self, server: int) -> None:
        """Nobody is on this server any more."""
        self._servers.pop(server, None)

    def of(self, server: int) -> float | None:
        """Requests that it runs at once, as believed now; None where nothing is learned of it."""
        its = self._servers.get(server)
        return None if its is None else its.slots()

    def hypotheses(self, server: int) -> tuple[FloatArray, FloatArray] | None:
        """(C,) the numbers of slots that it may have, and by how much service is quicker than expected with
        each: a log, at most 0. None where nothing is learned of it. Neither is ever written to.
        """
        its = self._servers.get(server)
        return None if its is None else (its.numbers, its.quicker)

    def learned(self, server: int) -> float:
        """The slots that were learned of it, 0 where the first guess stands."""
        its = self._servers.get(server)
        return 0.0 if its is None or its.believed == -1 else float(_NUMBERS[its.believed])

    def adopt(self, server: int, slots: float) -> None:
        """Another worker has learned that it has so many slots; believed where nothing was learned here."""
        its = self._servers.get(server)
        if its is not None and slots >= 1.0 and not its.evidence.any():
            nearest = int(np.abs(_NUMBERS - slots).argmin())
            its.add(np.where(np.arange(_NUMBERS.size + 1) == nearest, 0.0, -_LEAD - 0.1))

    def stated(self, server: int, slots: float) -> None:
        """The server has stated its slots."""
        its = self._servers.get(server)
        if its is not None and slots >= 1.0 and (slots != its.guess or not its.stated):
            its.guessed(slots)
            its.told, its.stated, its.believed = True, True, -1
            its.evidence[:] = 0.0

    def told(self, server: int, running: float, waiting: float, cache_use: float | None) -> None:
        """The server reports its load."""
        its = self._servers.get(server)
        if its is None or running < 1.0:
            return
        if waiting >= 1.0:
            nearest = np.abs(np.log(its.numbers / running))
            its.add(np.where(nearest <= nearest.min() + 1e-9, _TOLD, 0.0) - _TOLD)
        elif running > its.slots():
            its.add(np.where(its.numbers < running, -IMPOSSIBLE, 0.0))
        self._told_cache(its, running, cache_use)

    @staticmethod
    def _told_cache(its: _Server, running: float, cache_use: float | None) -> None:
        if cache_use is None or cache_use < _CACHE_SPEAKS:
            its.in_cache = math.inf
        elif its.in_cache == math.inf:
            its.in_cache = running / cache_use
        else:
            its.in_cache += _CACHE_GAIN * (running / cache_use - its.in_cache)

    def observe(
        self,
        server: int,
        ahead: Ahead,
        share: float,
        measured_s: float,
        expected_s: Callable[[FloatArray], FloatArray] | float,
        known: int,
        in_one_piece: bool = False,
        requests: FloatArray | None = None,
    ) -> float | None:
        """A request was served: how long it waited before, by what is believed then.

        It was measured to take `measured_s`, to its first token or to the end of an answer `in_one_piece`.
        `requests` is as in `waits`.
        With slots (C,) it is expected to take `expected_s(slots)` (C,) once it is served, by `known`
        measurements; or, where the server states that, `expected_s`. None says that the wait is disputed.
        """
        its = self._servers.get(server)
        if its is None:
            return 0.0
        if stated := isinstance(expected_s, float):
            expected, variance = np.full(its.numbers.size, expected_s), _NOISE_VARIANCE
        else:
            expected, variance = expected_s(its.numbers), _NOISE_VARIANCE + 1.0 / (known + 1.0)
        served = _Served(ahead, share, measured_s, expected, variance, in_one_piece, requests, stated)
        if share < ALL:
            waited, likely = _weighed_by_own_ends(its, served)
        else:
            waited, likely = IN_USE.either(
                lambda loops: _weighed_by_loop(its, served, loops), lambda: _weighed(its, served)
            )
        wait_s, other_s = waited.item(its.believed), waited.item(likely)
        begun = measured_s > wait_s * (1.0 - LATE) - LATE_S
        return wait_s if begun and abs(wait_s - other_s) <= _CONTESTED * measured_s else None


def _weighed(its: _Server, served: _Served) -> tuple[FloatArray, int]:
    """(C,) the waits of a request that is weighed in, and which hypothesis is best then."""
    waited = waits(served.ahead, its.numbers, served.share, served.requests)
    earliest = waited * (1.0 - LATE) - LATE_S
    begun = served.measured_s > earliest
    doubt = np.zeros_like(its.doubt) if served.stated else its.doubt
    expected = served.expected_s if served.stated else served.expected_s * np.exp(its.quicker)
    x = _log_ratio(served.measured_s, waited, earliest, expected, served.in_one_piece)
    spread = served.variance + doubt
    found = np.where(begun, -np.log1p(np.square(x) / spread), -IMPOSSIBLE)
    if not served.stated:
        its.adjust(x, np.where(begun, doubt / spread, 0.0))
    return waited, its.add(np.maximum(found - found.max(), -IMPOSSIBLE))


def _weighed_by_loop(its: _Server, served: _Served, loops: Loops) -> tuple[FloatArray, int]:
    """The same by a compiled loop."""
    ahead, count = served.ahead, its.numbers.size
    waited = np.empty(count)
    own = (np.zeros(count), np.zeros(count)) if served.stated else (its.quicker.copy(), its.doubt.copy())
    evidence = its.evidence.copy()
    best = loops.weigh_slots(
        its.numbers,
        np.array([0.0, *ahead.ended_s, math.inf]),
        np.full(count, ahead.requests if served.requests is None else served.requests, dtype=np.float64),
        served.share,
        served.measured_s,
        served.in_one_piece,
        served.expected_s,
        served.variance,
        waited,
        *own,
        evidence,
    )
    its.evidence = evidence
    if not served.stated:
        its.quicker, its.doubt = own
    its.judge(best)
    return waited, best


def _weighed_by_own_ends(its: _Server, served: _Served) -> tuple[FloatArray, int]:
    """The same by a worker that has sent a part of the server's load."""
    waited = waits(served.ahead, its.numbers, served.share, served.requests)
    found = _by_own_ends(
        served.ahead, its.numbers, served.share, served.measured_s, served.expected_s, served.variance
    )
    return waited, its.add(np.maximum(found - found.max(), -IMPOSSIBLE))


def _log_ratio(
    measured_s: float,
    waited_s: FloatArray,
    earliest_s: FloatArray,
    expected_s: FloatArray,
    in_one_piece: bool,
) -> FloatArray:
    """(C,) log(service / expected service); of a stream, as near to 0 as ends that are seen late allow: it
    may have begun from `earliest_s` (C,) on."""
    service_s = measured_s - waited_s
    least_s = np.maximum(service_s, LEAST_S)
    if in_one_piece:
        whole: FloatArray = np.where(service_s > 0.0, np.log(least_s / expected_s), QUICK)
        return whole
    most_s = np.maximum(measured_s - np.maximum(earliest_s, 0.0), LEAST_S)
    nearest_s = np.minimum(np.maximum(expected_s, least_s), most_s)
    found: FloatArray = np.log(nearest_s / expected_s)
    return found


def _by_own_ends(
    ahead: Ahead,
    numbers: FloatArray,
    share: float,
    measured_s: float,
    expected_s: FloatArray,
    variance: float,
) -> FloatArray:
    """(C,) log likelihood of a measured time, by a worker that has sent a `share` of the server's load.

    The request began between two of this worker's ends, at whichever moment fits best: the last end that it
    had to wait for may have been another worker's. With a slot free it began at once.
    """
    ends = np.array([0.0, *ahead.ended_s])
    probability = began_after(ahead, numbers, share, ends.size - 1)
    earliest = np.maximum(ends * (1.0 - LATE) - LATE_S, 0.0)
    latest = np.append(ends[1:], math.inf)
    at_once = probability[:, :1] >= 1.0
    most = np.maximum(measured_s - np.where(at_once, 0.0, earliest), LEAST_S)
    least = np.maximum(measured_s - np.where(at_once, 0.0, latest), LEAST_S)
    x = np.log(np.clip(expected_s[:, None], least, most) / expected_s[:, None])
    likely = np.where(earliest < measured_s, 1.0 / (1.0 + np.square(x) / variance), 0.0)
    found: FloatArray = np.log((probability * likely).sum(axis=1) + math.exp(-IMPOSSIBLE))
    return found
