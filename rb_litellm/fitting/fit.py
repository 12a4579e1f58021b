"""Fit each server of a log: how fast it is, alone and under load, what its tokens cost, and how far to
believe that.

The form is that of the latency model and of the simulated server:

    TTFT = t0 + c * (n + P)                n input tokens of the call, P of others prefilled meanwhile
    TPOT = a + k * (b - 1) + c * P / L     b requests open on the deployment, on average meanwhile
    E2E  = TTFT + (L - 1) * TPOT

fitted to logarithms of ratios under a Cauchy loss, under which what is far off has no weight: first to the
calls that a model can have answered (see `populations`), then, under the more exact soft-L1, to those within
a factor of `FAR` of that. Of a streamed call TTFT and TPOT are fitted apart, of an answer in one piece the
total. Were P left out, what prefill takes from decoding would be counted twice when the fit is simulated.
What a log cannot tell apart (t0 and c where all prompts are alike, a and k where the load is) goes to t0 and
a.

A deployment with few calls takes the shape of its model's other deployments, and one of an unknown model the
usual prior, made faster or slower to meet the calls that there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.core.types import BoolArray, FloatArray
from rb_litellm.fitting.load import Timings, timings
from rb_litellm.fitting.populations import believed, written
from rb_litellm.fitting.prices import fitted_prices
from rb_litellm.logs.spend_logs import LoggedCall

MIN_CALLS = 20
"""Calls from which a deployment is fitted by itself."""
MAX_FITTED = 5_000
"""Calls of one deployment that are fitted: evenly spread over the log."""
FAR = 3.0
"""A call that took so many times less, or more, than what was fitted is another matter than the rest."""
POOR_ERROR = 0.4
"""Median error of E2E from which a fit is not trusted."""
POOR_SHARE = 0.6
"""Share of its model's calls that took far longer than the rest from which it is not."""
_LONG = 8
"""Output tokens from which an answer speaks of TPOT."""
_LEANING = 0.05
"""Weight, relative to all calls, of taking as constant what the calls do not show to be otherwise."""


@dataclass(frozen=True, slots=True)
class FittedServer:
    """One deployment, or one model behind it, as the log shows it."""

    deployment: str
    model: str
    calls: int
    ttft_s: float
    prefill_s_per_token: float
    tpot_s: float
    tpot_s_per_running: float
    input_usd_per_token: float
    output_usd_per_token: float
    mean_output_tokens: float
    mean_context_tokens: float
    """That a sequence has on average while it is written."""
    origin: str
    """own calls, calls of the model, or prior."""
    error: float = 0.0
    """Median of |fitted - logged| / logged E2E over the calls it is fitted to."""
    quick: int = 0
    """Calls left aside that were answered too quickly to have come from the model."""
    slow: int = 0
    """Calls left aside that took far longer than the rest."""

    @property
    def distrust(self) -> str:
        """Why the fit is too poor to simulate; empty where it is not."""
        if self.quick >= self.calls:
            return "every answer came at once, as mocked and cached ones do"
        left = self.calls - self.quick - self.slow
        if self.slow > POOR_SHARE * (self.calls - self.quick) or left < min(MIN_CALLS, 0.4 * self.calls):
            return f"{self.calls - left} of {self.calls} calls are nothing like the others"
        if self.error > POOR_ERROR:
            return f"E2E is off by {self.error:.0%} in the median"
        return ""


@dataclass(frozen=True, slots=True)
class Fit:
    """All servers of a log."""

    servers: list[FittedServer]
    """In the order of their names."""
    quick: frozenset[int]
    """Places, among the calls given, of those that no model answered."""
    slow: frozenset[int]
    """And of those that took far longer than the rest."""


def fit(calls: Sequence[LoggedCall]) -> Fit:
    """Fit all servers; calls are told apart by their `deployment`."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, call in enumerate(calls):
        if not call.failed:
            places[call.deployment].append(place)
    found = {name: _Found.of(name, [calls[i] for i in there]) for name, there in places.items()}
    every = [one for _, one in sorted(found.items())]
    # How long answers are is the model's doing, not the deployment's.
    lengths: dict[str, list[FloatArray]] = defaultdict(list)
    for one in every:
        lengths[one.model].append(one.calls.output_tokens[one.kept if one.kept.any() else ~one.kept])
    mean = {model: float(np.concatenate(some).mean()) for model, some in lengths.items()}
    servers = [replace(_server(one, every), mean_output_tokens=mean[one.model]) for one in every]
    quick = _places(places, {name: one.quick for name, one in found.items()})
    return Fit(servers, quick, _places(places, {name: one.slow for name, one in found.items()}))


def _places(places: Mapping[str, Sequence[int]], chosen: Mapping[str, BoolArray]) -> frozenset[int]:
    return frozenset(
        i for name, there in places.items() for i, q in zip(there, chosen[name], strict=True) if q
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A deployment's calls, sorted into those that a fit is about and the others."""

    deployment: str
    model: str
    calls: Timings
    form: FloatArray | None
    """(t0, c, a, k) of the module's form; None without a call that a model can have answered."""
    kept: BoolArray
    quick: BoolArray

    @property
    def slow(self) -> BoolArray:
        return ~self.kept & ~self.quick

    @classmethod
    def of(cls, name: str, calls: list[LoggedCall]) -> _Found:
        told = believed(timings(calls))
        kept = written(told)
        if not kept.any():
            return cls(name, calls[0].model, told, None, kept, ~kept)
        form = _fitted(told.take(kept), "cauchy")
        ratio = np.log(told.e2e_s / _e2e(form, told))
        near = np.abs(ratio) < np.log(FAR)
        if (near & kept).sum() >= max(2, 0.3 * kept.sum()):
            kept = near & kept
            form = _fitted(told.take(kept), "soft_l1")
            ratio = np.log(told.e2e_s / _e2e(form, told))
        quick = ~kept & (ratio < -np.log(FAR))
        return cls(name, calls[0].model, told, form, kept, quick)


def _server(own: _Found, every: Sequence[_Found]) -> FittedServer:
    count = int(own.kept.sum())
    use = own.calls.take(own.kept) if count else own.calls
    origin, form = "own calls", own.form
    if count < MIN_CALLS:
        kin = [one for one in every if one.model == own.model and one.kept.any()]
        of_model = [one.calls.take(one.kept) for one in kin]
        if sum(one.e2e_s.size for one in of_model) >= MIN_CALLS:
            joined = of_model[0]
            for other in of_model[1:]:
                joined = joined.joined(other)
            origin, form = "calls of the model", _fitted(joined, "soft_l1")
        else:
            origin, form = "prior", _prior(own.model, use if count else None)
    assert form is not None
    input_usd, output_usd = fitted_prices(use.input_tokens, use.output_tokens, use.cost_usd)
    t0, c, a, k = (float(value) for value in form)
    return FittedServer(
        deployment=own.deployment,
        model=own.model,
        calls=own.kept.size,
        ttft_s=t0,
        prefill_s_per_token=c,
        tpot_s=max(a, 1e-6),
        tpot_s_per_running=k,
        input_usd_per_token=input_usd,
        output_usd_per_token=output_usd,
        mean_output_tokens=float(use.output_tokens.mean()),
        mean_context_tokens=float((use.input_tokens + use.output_tokens / 2.0).mean()),
        origin=origin,
        error=float(np.median(np.abs(_e2e(form, use) / use.e2e_s - 1.0))) if count else 1.0,
        quick=int(own.quick.sum()),
        slow=int(own.slow.sum()),
    )


def _prior(model: str, calls: Timings | None) -> FloatArray:
    """What is usual for such a model, in the pace of the calls that there are."""
    prior = latency_prior(model, hosted=False)
    form = np.array([prior.ttft_s, prior.prefill_s_per_token, prior.tpot_s, prior.tpot_s_per_running])
    if calls is None:
        return form
    streamed = np.isfinite(calls.ttft_s)
    if streamed.any():
        form[:2] *= np.median(calls.ttft_s[streamed] / _first(form, calls)[streamed])
        writing, steps = (calls.e2e_s - calls.ttft_s)[streamed], (calls.output_tokens - 1.0)[streamed]
        if (steps >= 1.0).any():
            form[2:] *= np.median((writing / _rest(form, calls)[streamed])[steps >= 1.0])
        return form
    return np.asarray(form * np.median(calls.e2e_s / _e2e(form, calls)))


def _first(form: FloatArray, calls: Timings) -> FloatArray:
    return np.asarray(np.maximum(form[0] + form[1] * (calls.input_tokens + calls.prefilled_before), 1e-9))


def _rest(form: FloatArray, calls: Timings) -> FloatArray:
    steps = np.maximum(calls.output_tokens - 1.0, 0.0)
    pace = form[2] + form[3] * (calls.open - 1.0)
    return np.asarray(np.maximum(steps * pace + form[1] * calls.prefilled_after, 1e-9))


def _e2e(form: FloatArray, calls: Timings) -> FloatArray:
    return _first(form, calls) + _rest(form, calls)


def _fitted(calls: Timings, loss: str) -> FloatArray:
    """(t0, c, a, k) of the module's form, all in s."""
    size = calls.e2e_s.size
    chosen = np.zeros(size, dtype=np.bool_)
    chosen[:: max(1, -(-size // MAX_FITTED))] = True
    calls = calls.take(chosen)
    total, ttft = np.maximum(calls.e2e_s, 1e-6), calls.ttft_s
    steps = np.maximum(calls.output_tokens - 1.0, 0.0)
    streamed = np.isfinite(ttft)
    long = streamed & (steps >= _LONG)
    writing = np.where(long, np.maximum(total - ttft, 1e-9), np.nan)
    whole = ~streamed
    others = float((calls.open - 1.0).mean())
    prompt = float(calls.input_tokens.mean())

    guess_tpot = (
        float(np.nanmedian(writing / np.maximum(steps, 1.0)))
        if long.any()
        else float(np.median(total / (steps + 10.0)))
    )
    guess_ttft = float(np.nanmedian(ttft)) if streamed.any() else 5.0 * guess_tpot
    start = np.array([guess_ttft * 0.8, guess_ttft * 0.2 / max(prompt, 1.0), guess_tpot, guess_tpot / 100.0])
    scale = np.maximum(start, [1e-4, 1e-8, 1e-5, guess_tpot / 100.0])
    leaning = _LEANING * np.sqrt(total.size)

    def errors(form: FloatArray) -> FloatArray:
        first, rest = _first(form, calls), _rest(form, calls)
        return np.concatenate(
            [
                np.log(first[streamed] / ttft[streamed]),
                np.log(rest[long] / writing[long]),
                np.log((first + rest)[whole] / total[whole]),
                [
                    leaning * form[1] * prompt / max(guess_ttft, 1e-6),
                    leaning * form[3] * max(others, 0.1) / max(guess_tpot, 1e-7),
                ],
            ]
        )

    found = least_squares(
        errors, start, bounds=(0.0, np.inf), loss=loss, f_scale=0.2, x_scale=scale, max_nfev=200
    )
    return np.asarray(found.x, dtype=np.float64)
