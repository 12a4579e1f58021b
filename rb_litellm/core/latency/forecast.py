"""How long a request takes on one deployment under its present load: TTFT, TPOT and E2E.

The form is that of a continuously batching server (Orca, OSDI 2022; vLLM, https://arxiv.org/abs/2309.06180).
One decode step serves every running sequence, so time per output token grows with their number. A prompt is
prefilled in such steps, together with the others that wait for it. A request beyond the server's slots waits
until a sequence ends. With n_in input tokens, L expected output tokens, m open requests, c slots, D pending
decode tokens and P pending prefill tokens on the deployment:

    prefill(x) = prefill_per_token * (sqrt(x0^2 + x^2) - x0)     x0 = min(tpot_idle / prefill_per_token, 500)

    b      = min(m, c - 1)                                  sequences that will run beside this one
    TPOT   = tpot_idle + tpot_per_running * b
    step   = (1 - s) * TPOT                                 of it, what is no prefill of others
    k      = m - b                                          its place in the queue; 0 while a slot is free
    wait   = (D / m) * step * (k / c + (c - 1) / 2c * min(k / c, 1)) + max(k - 1, 0) / c * ttft_idle
    join   = h * min(b, 1) * step                           until the running batch takes it in
    TTFT   = max(wait, join) + ttft_idle + ttft_per_running * b + prefill(P + n_in)
    E2E    = TTFT + (L - 1) * TPOT
    added  = prefill(P + n_in) - prefill(P)                 of it, what this prompt makes longer
    burden = r * added + (1 - s) * tpot_per_running * min(r * L, D),   r = min(m, c)

What a prompt adds follows a roofline (Williams, Waterman, Patterson, CACM 2009,
https://doi.org/10.1145/1498765.1498785). A step reads all weights, however few tokens it computes, and takes
no longer than that until computing takes longer. So few tokens of prefill come almost for nothing, and many
in proportion to their number: `prefill_per_token` is the slope of long prompts. The ridge x0 between the two
is the number of tokens whose computing takes as long as a lone decode step: 100 to 300 on GPUs, about ten on
a CPU. The reading itself is part of ttft_idle. The root rounds the roof's edge off. On forward passes that
were measured on four pairs of model and GPU, squares are closer than powers of 1.5 and 3 in their place, and
the idle time per token as close as that at the load. A hosted API computes so many others' tokens in each
step that it is past its ridge already: there x0 = 0, and prefill is in proportion.

The wait follows the queueing form of RouteBalance (https://arxiv.org/abs/2606.17949): D / m is what the mean
sequence still has to decode, and k of them have to end. What is added to k / c is what an even flow of ends
leaves out: requests that came at once end at once, round by round. Those ahead in the queue have their first
tokens to come, too. TTFT grows with the batch because the first token comes at the end of a step that serves
the batch.

An answer is held up by the prompts of others that are prefilled while it is written; they take a share s of
its time. They belong to its time per token, and not to a wait: the prompts of those that are ahead in the
queue are in P already. Nor do they belong to what a token costs others, for prompts are the burden's first
part.

A request that meets a running batch joins it with its next step. How much is left of the present one, the
streams that this worker passes on show (`moment`); where there are none, it is half a step on average
(h = 1/2). One that meets an idle server does not wait, and one from the queue is taken in as soon as its wait
is over.

The burden is the externality of the request (the marginal external cost of congestion pricing): the time that
the running requests lose together. Its prefill holds each of them up, and each token that they write beside
it takes longer. A choice that leaves the burden out fills the fastest servers until they are as slow as the
rest.

A hosted API shows no queue and no batch (h = 0). The same form holds there, with coefficients that do not
grow with load until measurements say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, IntArray, Outcome

MOST_RIDGE_TOKENS = 500.0
"""A ridge is at no more tokens: else a prefill that is taken to be quick would look like none, and could not
be learned."""
_STEP_LEFT = 0.5
"""What is left of a step, on average, when a request comes at any moment of it."""


@dataclass(frozen=True, slots=True)
class LatencyPrior:
    """The latency of a deployment as assumed before anything was measured on it."""

    tpot_s: float
    """Time per output token at low load."""
    ttft_s: float
    """Time to first token of a short prompt at low load."""
    prefill_s_per_token: float
    """Growth of TTFT with each further token of a long prompt."""
    tpot_s_per_running: float
    """Growth of TPOT with each further running sequence."""
    slots: float
    """Sequences that run at once (vLLM's `max_num_seqs`); inf for a hosted API."""
    slots_told: bool = False
    """Whether the operator has told the slots; else they are a default."""

    @property
    def most_ridge_tokens(self) -> float:
        """Where its ridge is at most: 0 for a hosted API, see above."""
        return MOST_RIDGE_TOKENS if math.isfinite(self.slots) else 0.0

    @property
    def ridge_tokens(self) -> float:
        """Tokens whose computing takes as long as a lone decode step."""
        return ridge_tokens(self.tpot_s, self.prefill_s_per_token, self.most_ridge_tokens)


def ridge_tokens(tpot_s: float, prefill_s_per_token: float, most: float = MOST_RIDGE_TOKENS) -> float:
    """Tokens whose computing takes as long as a lone decode step; `most` where prefill takes no time."""
    most_s = most * prefill_s_per_token
    return tpot_s / prefill_s_per_token if tpot_s < most_s else most


def effective_tokens(tokens: float, ridge: float) -> float:
    """What so many tokens of prefill add to a step, in tokens that are computed past the ridge."""
    return math.hypot(ridge, tokens) - ridge


class DeploymentCoefficients(NamedTuple):
    """Those of one deployment: a row of `LatencyCoefficients`, in the same order."""

    tpot_s: float
    tpot_s_per_running: float
    ttft_s: float
    ttft_s_per_running: float
    prefill_s_per_token: float
    ridge_tokens: float
    slots: float
    join_steps: float
    prefill_share: float

    def prefill_s(self, tokens: float) -> float:
        """What so many tokens of prefill add to a step."""
        return self.prefill_s_per_token * effective_tokens(tokens, self.ridge_tokens)

    def tpot_at(self, running: float) -> float:
        """Time per output token beside so many running sequences."""
        return self.tpot_s + self.tpot_s_per_running * running

    def joined(self, outcome: Outcome, in_flight: float) -> float:
        """How long it waited that met so many others and a free slot, in TPOT of theirs."""
        steps = self.join_steps if outcome.join_steps is None else outcome.join_steps
        return steps * min(in_flight, 1.0) * (1.0 - self.prefill_share)

    def service_s(self, outcome: Outcome, slots: FloatArray) -> FloatArray:
        """(C,) what a request was to take once it is served, with each number of slots (C,).

        TTFT, or the whole time of an answer in one piece.
        """
        has_room = outcome.in_flight < slots
        running = np.minimum(outcome.in_flight, slots - 1.0)
        expected: FloatArray = self.ttft_s + self.ttft_s_per_running * running
        # Of a request that had to queue, what was ahead has been prefilled before.
        prefill_s = self.prefill_s(outcome.input_tokens)
        all_prefill_s = self.prefill_s(outcome.pending_prefill_tokens + outcome.input_tokens)
        expected += np.where(has_room, all_prefill_s, prefill_s)
        steps = max((outcome.output_tokens or 1) - 1.0, 0.0) if outcome.in_one_piece else 0.0
        all_steps = np.where(has_room, self.joined(outcome, outcome.in_flight) + steps, steps)
        expected += all_steps * (self.tpot_s + self.tpot_s_per_running * running)
        return expected

    def answer_s(self, outcome: Outcome, output_tokens: float) -> float:
        """What an answer of so many tokens was to take from beginning to end, but for its wait."""
        running = min(outcome.in_flight, self.slots - 1.0)
        prefill_s = self.prefill_s(outcome.pending_prefill_tokens + outcome.input_tokens)
        ttft_s = self.ttft_s + self.ttft_s_per_running * running + prefill_s
        steps = max(output_tokens - 1.0, 0.0) + self.joined(outcome, running)
        return ttft_s + steps * self.tpot_at(running)


@dataclass(slots=True)
class LatencyCoefficients:
    """Coefficients of the model above for N deployments; every array has shape (N,)."""

    tpot_s: FloatArray
    tpot_s_per_running: FloatArray
    ttft_s: FloatArray
    ttft_s_per_running: FloatArray
    prefill_s_per_token: FloatArray
    ridge_tokens: FloatArray
    """Tokens whose computing takes as long as a lone decode step; 0 for a hosted API."""
    slots: FloatArray
    join_steps: FloatArray
    """Steps for which a request waits that meets a running batch; 0 for a hosted API."""
    prefill_share: FloatArray
    """Of the time of answers, the share in which prompts of others are prefilled; 0 until it is measured."""

    @classmethod
    def from_priors(cls, priors: list[LatencyPrior]) -> LatencyCoefficients:
        """One row per prior."""
        return cls(
            np.array([p.tpot_s for p in priors], dtype=np.float64),
            np.array([p.tpot_s_per_running for p in priors], dtype=np.float64),
            np.array([p.ttft_s for p in priors], dtype=np.float64),
            # The step that writes the first token takes as long as any other.
            np.array([p.tpot_s_per_running for p in priors], dtype=np.float64),
            np.array([p.prefill_s_per_token for p in priors], dtype=np.float64),
            np.array([p.ridge_tokens for p in priors], dtype=np.float64),
            np.array([p.slots for p in priors], dtype=np.float64),
            np.array([_STEP_LEFT if math.isfinite(p.slots) else 0.0 for p in priors], dtype=np.float64),
            np.zeros(len(priors)),
        )

    def with_row(self, prior: LatencyPrior) -> LatencyCoefficients:
        """A copy with one more deployment at the end."""
        more = LatencyCoefficients.from_priors([prior])
        return LatencyCoefficients(
            *(np.append(getattr(self, name), getattr(more, name)) for name in self.__dataclass_fields__)
        )

    def put(self, row: int, prior: LatencyPrior) -> None:
        """In place: the row is another deployment's, of which nothing but this is known."""
        other = LatencyCoefficients.from_priors([prior])
        for name in self.__dataclass_fields__:
            getattr(self, name)[row] = getattr(other, name)[0]

    def take(self, rows: IntArray) -> LatencyCoefficients:
        """The coefficients of the given deployments only, in that order."""
        return LatencyCoefficients(
            self.tpot_s.take(rows),
            self.tpot_s_per_running.take(rows),
            self.ttft_s.take(rows),
            self.ttft_s_per_running.take(rows),
            self.prefill_s_per_token.take(rows),
            self.ridge_tokens.take(rows),
            self.slots.take(rows),
            self.join_steps.take(rows),
            self.prefill_share.take(rows),
        )

    @property
    def per_load(self) -> tuple[FloatArray, ...]:
        """All of them, as `load_part` and the compiled loops take them."""
        return (
            self.tpot_s,
            self.tpot_s_per_running,
            self.prefill_share,
            self.ttft_s,
            self.ttft_s_per_running,
            self.prefill_s_per_token,
            self.ridge_tokens,
            self.slots,
            self.join_steps,
        )

    def at(self, row: int) -> DeploymentCoefficients:
        """Those of the deployment at `row`."""
        return DeploymentCoefficients(
            self.tpot_s.item(row),
            self.tpot_s_per_running.item(row),
            self.ttft_s.item(row),
            self.ttft_s_per_running.item(row),
            self.prefill_s_per_token.item(row),
            self.ridge_tokens.item(row),
            self.slots.item(row),
            self.join_steps.item(row),
            self.prefill_share.item(row),
        )

    def step_s(self, in_flight: FloatArray) -> FloatArray:
        """(N,) s of a step that serves so many (N,)."""
        beside = np.minimum(np.maximum(in_flight - 1.0, 0.0), self.slots - 1.0)
        step_s: FloatArray = self.tpot_s + self.tpot_s_per_running * beside
        return step_s

    def at_any_moment(self) -> LatencyCoefficients:
        """For requests that are sent some time later: nothing is known then of the present step."""
        return replace(self, join_steps=np.where(self.join_steps > 0.0, _STEP_LEFT, 0.0))

    def slowed(self, factor: FloatArray) -> LatencyCoefficients:
        """The coefficients of deployments that take `factor` (N,) times as long for everything."""
        return LatencyCoefficients(
            self.tpot_s * factor,
            self.tpot_s_per_running * factor,
            self.ttft_s * factor,
            self.ttft_s_per_running * factor,
            self.prefill_s_per_token * factor,
            self.ridge_tokens,
            self.slots,
            self.join_steps,
            self.prefill_share,
        )


@dataclass(slots=True)
class LatencyForecast:
    """Seconds for one request on N deployments; every array has shape (N,) and is not written to."""

    wait_s: FloatArray
    ttft_s: FloatArray
    """Time to first token, including the wait."""
    tpot_s: FloatArray
    e2e_s: FloatArray
    burden_s: FloatArray | float = 0.0
    """Seconds that the requests already there lose together because of this one."""
    failures_s: FloatArray | None = None
    """Seconds that attempts which fail are expected to cost it; None where nobody fails."""

    @property
    def priced_s(self) -> FloatArray:
        """The time that a choice costs all requests together: the score's measure of latency."""
        priced: FloatArray = self.e2e_s + self.burden_s
        return priced if self.failures_s is None else priced + self.failures_s

    @property
    def burdens_s(self) -> FloatArray:
        """(N,) the burden of each, where one number stands for all, too."""
        burden_s = self.burden_s
        return np.full(self.e2e_s.size, burden_s) if isinstance(burden_s, float) else burden_s

    def as_seen(self, proxy_s: float = 0.0) -> LatencyForecast:
        """The times of an answer as its client sees them: with `proxy_s`, which passes in the proxy, and what
        attempts take that fail before it."""
        if self.failures_s is None and not proxy_s:
            return self
        beside_s = proxy_s if self.failures_s is None else self.failures_s + proxy_s
        ttft_s, e2e_s = self.ttft_s + beside_s, self.e2e_s + beside_s
        return LatencyForecast(self.wait_s, ttft_s, self.tpot_s, e2e_s, self.burden_s)


class BatchForecaster(Protocol):
    """Forecasts for the requests of one batch on N deployments under one load.

    Most of a forecast depends on the deployment and not on the request. That part is computed once for the
    whole batch, and again for one deployment when a request of the batch is added to it.
    """

    coefficients: LatencyCoefficients
    """Slowed where deployments are."""

    @property
    def parts(self) -> FloatArray:
        """(PARTS, N) that part: what `load_part` returns. Not to be kept."""

    def forecast(self, prefill_tokens: float | FloatArray, output_tokens: FloatArray) -> LatencyForecast:
        """Predict one request on every deployment.

        `prefill_tokens` are the input tokens that are not cached: one number for all, or (N,) for each.
        `output_tokens` (N,) is the expected length of the answer on each.
        """

    def join(self, row: int, prefill_tokens: float, output_tokens: float) -> None:
        """Add a request to the deployment at `row`; the next forecast takes it into account."""


class PlainForecaster:
    """By NumPy."""

    __slots__ = ("_outdated", "_parts", "_state", "coefficients")

    def __init__(self, coefficients: LatencyCoefficients, state: InstanceState) -> None:
        c = self.coefficients = coefficients
        self._state = state
        self._outdated: list[int] = []
        """The deployments that requests were added to since the last forecast."""
        its = load_part(
            c.per_load,
            (state.in_flight, state.pending_prefill_tokens, state.pending_decode_tokens),
            np.minimum,
            np.maximum,
            np.sqrt,
        )
        self._parts: FloatArray = np.concatenate(its).reshape(PARTS, -1)

    @property
    def parts(self) -> FloatArray:
        """See `BatchForecaster`."""
        if self._outdated:
            # Earlier forecasts hold rows of it and are read after the batch.
            self._parts = self._parts.copy()
            for row in self._outdated:
                self._parts[:, row] = self._part_of(row)
            self._outdated.clear()
        return self._parts

    def forecast(self, prefill_tokens: float | FloatArray, output_tokens: FloatArray) -> LatencyForecast:
        """See `BatchForecaster`."""
        return LatencyForecast(*times_of(self.parts, prefill_tokens, output_tokens))

    def join(self, row: int, prefill_tokens: float, output_tokens: float) -> None:
        """See `BatchForecaster`."""
        self._state.in_flight[row] += 1.0
        self._state.pending_prefill_tokens[row] += prefill_tokens
        self._state.pending_decode_tokens[row] += output_tokens
        self._outdated.append(row)

    def _part_of(self, row: int) -> tuple[float, ...]:
        c, state = self.coefficients, self._state
        return load_part(
            tuple(column.item(row) for column in c.per_load),
            (
                state.in_flight.item(row),
                state.pending_prefill_tokens.item(row),
                state.pending_decode_tokens.item(row),
            ),
            min,
            max,
            math.sqrt,
        )


def times_of(
    parts: FloatArray, prefill_tokens: float | FloatArray, output_tokens: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Wait, TTFT, TPOT, E2E and burden of requests on deployments with these parts (PARTS, N).

    Of one request (N,), or of many (R, N); wait and TPOT are (N,) in either case, being the same for all.
    """
    wait_s, before_s, tpot_s, running, burden_s_per_token, most_burden_s = parts[:6]
    prefill_s_per_token, pending_s, ridge_s2, pending_root_s = parts[6:]
    prefill_s = prefill_s_per_token * prefill_tokens
    prefill_s += pending_s
    prefill_s *= prefill_s
    prefill_s += ridge_s2
    prefill_s = np.sqrt(prefill_s, out=prefill_s)
    prefill_s -= pending_root_s
    ttft_s = before_s + prefill_s
    e2e_s = np.maximum(output_tokens - 1.0, 0.0) * tpot_s
    e2e_s += ttft_s
    burden_s = np.minimum(output_tokens * burden_s_per_token, most_burden_s)
    burden_s += running * prefill_s
    return wait_s, ttft_s, tpot_s, e2e_s, burden_s


def forecast(
    coefficients: LatencyCoefficients,
    state: InstanceState,
    prefill_tokens: float | FloatArray,
    output_tokens: FloatArray,
    slowdown: FloatArray | None = None,
) -> LatencyForecast:
    """Predict one request on every deployment under the load of `state`: see `BatchForecaster`."""
    if slowdown is not None:
        coefficients = coefficients.slowed(slowdown)
    return PlainForecaster(coefficients, state).forecast(prefill_tokens, output_tokens)


_Number = TypeVar("_Number", float, FloatArray)
PARTS = 10
"""How many numbers `load_part` returns."""


def load_part(
    coefficients: tuple[_Number, ...],
    load: tuple[_Number, _Number, _Number],
    least: Callable[[_Number, Any], _Number],
    most: Callable[[_Number, Any], _Number],
    root: Callable[[_Number], _Number],
) -> tuple[_Number, ...]:
    """The part of the forecast that depends on load alone: for N deployments, or in plain numbers for one.

    `coefficients` are in the order of `LatencyCoefficients.per_load`. Returns wait, TTFT without the
    request's own prefill, TPOT, the number of running sequences, the burden per token that the request
    writes and at most; then what its own prefill follows from: seconds per token, those of the pending
    tokens, the square of those of the ridge, and the root of the sum of the squares of both. `least` and
    `most` are the minimum and maximum of two values, `root` is the square root.
    """
    tpot_s, tpot_s_per_running, prefill_share, ttft_s, ttft_s_per_running = coefficients[:5]
    prefill_s_per_token, ridge_tokens, slots, join_steps = coefficients[5:]
    in_flight, pending_prefill, decoding = load
    others = least(in_flight, slots - 1.0)  # sequences that will run beside this one
    waiting = in_flight - others
    tpot = tpot_s + tpot_s_per_running * others
    decoding_share = 1.0 - prefill_share
    step_s = tpot * decoding_share
    # Time until as many sequences have ended as are ahead of this one, in rounds of all slots.
    used = most(others + 1.0, 1.0)
    rounds = waiting / used
    rounds_s = decoding / most(in_flight, 1.0) * step_s
    begin_s = ttft_s + ttft_s_per_running * others
    wait = rounds_s * (rounds + 0.5 * (used - 1.0) / used * least(rounds, 1.0))
    wait = wait + begin_s * most(waiting - 1.0, 0.0) / used
    join_s = join_steps * least(others, 1.0) * step_s
    pending_s = prefill_s_per_token * pending_prefill
    ridge_s = prefill_s_per_token * ridge_tokens
    ridge_s2 = ridge_s * ridge_s
    pending_root_s = root(ridge_s2 + pending_s * pending_s)
    ttft = most(wait, join_s) + begin_s + (pending_root_s - ridge_s)
    running = least(in_flight, slots)
    growth = tpot_s_per_running * decoding_share
    return (
        wait,
        ttft,
        tpot,
        running,
        growth * running,
        growth * decoding,
        prefill_s_per_token,
        pending_s,
        ridge_s2,
        pending_root_s,
    )
