"""Fit each deployment of a log: how fast it is, alone and under load, and what its tokens cost.

The form is that of the latency model and of the simulated server:

    TTFT = t0 + c * (n + P)                n input tokens of the call, P of others prefilled meanwhile
    TPOT = a + k * (b - 1) + c * P / L     b requests open on the deployment, on average meanwhile
    E2E  = TTFT + (L - 1) * TPOT

fitted to relative errors under a soft-L1 loss, so that a handful of stragglers bends nothing. Of a
streamed call TTFT and TPOT are fitted apart, of an answer in one piece the total. Were P left out, what
prefill takes from decoding would be counted twice when the fit is simulated. A deployment with few
calls takes the shape of its model's other deployments, and one of an unknown model the usual prior.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares, nnls

from rb_litellm.core.hardware import latency_prior
from rb_litellm.core.types import FloatArray
from rb_litellm.logs.spend_logs import LoggedCall

MIN_CALLS = 20
"""Calls from which a deployment is fitted by itself."""
MAX_FITTED = 5_000
"""Calls of one deployment that are fitted: evenly spread over the log."""
_LONG = 8
"""Output tokens from which an answer speaks of TPOT."""


@dataclass(frozen=True, slots=True)
class FittedServer:
    """One deployment as its log shows it."""

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


def fit_servers(calls: Sequence[LoggedCall]) -> list[FittedServer]:
    """All deployments with at least one answered call, in the order of their names."""
    answered = [call for call in calls if not call.failed]
    by_deployment: dict[str, list[LoggedCall]] = defaultdict(list)
    for call in answered:
        by_deployment[call.deployment].append(call)
    load = {name: _load(group) for name, group in by_deployment.items()}
    servers = []
    for name in sorted(by_deployment):
        own = by_deployment[name]
        server = _fit(name, own, load[name], "own calls")
        if len(own) < MIN_CALLS:
            kin = [n for n in by_deployment if by_deployment[n][0].model == own[0].model]
            calls_of_model = [call for n in kin for call in by_deployment[n]]
            if len(calls_of_model) >= MIN_CALLS:
                shape = _fit(name, calls_of_model, _joined([load[n] for n in kin]), "calls of the model")
                server = replace(shape, calls=len(own))
            else:
                server = _from_prior(server)
        servers.append(server)
    return servers


def _from_prior(server: FittedServer) -> FittedServer:
    prior = latency_prior(server.model, hosted=False)
    return replace(
        server,
        ttft_s=prior.ttft_s,
        prefill_s_per_token=prior.prefill_s_per_token,
        tpot_s=prior.tpot_s,
        tpot_s_per_running=prior.tpot_s_per_running,
        origin="prior",
    )


def _fit(name: str, calls: Sequence[LoggedCall], load: _Load, origin: str) -> FittedServer:
    ttft_s, prefill_s, tpot_s, growth_s = _times(calls, load)
    input_usd, output_usd = _prices(calls)
    return FittedServer(
        deployment=name,
        model=calls[0].model,
        calls=len(calls),
        ttft_s=ttft_s,
        prefill_s_per_token=prefill_s,
        tpot_s=tpot_s,
        tpot_s_per_running=growth_s,
        input_usd_per_token=input_usd,
        output_usd_per_token=output_usd,
        mean_output_tokens=float(np.mean([max(call.output_tokens, 1) for call in calls])),
        mean_context_tokens=float(np.mean([c.input_tokens + c.output_tokens / 2.0 for c in calls])),
        origin=origin,
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """What else was on the deployment while each of C calls was open; every array has shape (C,)."""

    open: FloatArray
    """Requests, itself included, on average over its time."""
    prefilled_before: FloatArray
    """Others' input tokens prefilled between its start and its first token."""
    prefilled_after: FloatArray
    """And between its first token and its end."""


def _load(calls: Sequence[LoggedCall]) -> _Load:
    starts = np.array([call.start_s for call in calls])
    ends = np.array([max(call.end_s, call.start_s + 1e-6) for call in calls])
    # Where no first token was seen, prefill is taken to be at the start.
    firsts = np.array([c.start_s if c.first_token_s is None else c.first_token_s for c in calls])
    tokens = np.array([float(call.input_tokens) for call in calls])
    prefilled = _cumulative(firsts, tokens)
    return _Load(
        _mean_open(starts, ends),
        np.maximum(prefilled(firsts) - prefilled(starts) - tokens * (firsts > starts), 0.0),
        np.maximum(prefilled(ends) - prefilled(firsts), 0.0),
    )


def _joined(loads: Sequence[_Load]) -> _Load:
    return _Load(
        np.concatenate([load.open for load in loads]),
        np.concatenate([load.prefilled_before for load in loads]),
        np.concatenate([load.prefilled_after for load in loads]),
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


def _times(calls: Sequence[LoggedCall], load: _Load) -> tuple[float, float, float, float]:
    """(t0, c, a, k) of the module's form, all in s."""
    step = max(1, len(calls) // MAX_FITTED)
    chosen, others = calls[::step], load.open[::step] - 1.0
    tokens = load.prefilled_before[::step] + np.array([float(call.input_tokens) for call in chosen])
    after = load.prefilled_after[::step]
    steps = np.array([max(call.output_tokens - 1, 0) for call in chosen], dtype=np.float64)
    total = np.array([max(call.e2e_s, 1e-4) for call in chosen])
    ttft = np.array(
        [np.nan if c.first_token_s is None else max(c.first_token_s - c.start_s, 1e-4) for c in chosen]
    )
    streamed = np.isfinite(ttft)
    long = streamed & (steps >= _LONG)
    writing = np.where(long, np.maximum(total - ttft, 1e-6), np.nan)
    whole = ~streamed

    def errors(form: FloatArray) -> FloatArray:
        t0, c, a, k = form
        first = t0 + c * tokens
        rest = steps * (a + k * others) + c * after
        return np.concatenate(
            [
                first[streamed] / ttft[streamed] - 1.0,
                rest[long] / writing[long] - 1.0,
                (first + rest)[whole] / total[whole] - 1.0,
            ]
        )

    guess_tpot = (
        float(np.nanmedian(writing / np.maximum(steps, 1.0)))
        if long.any()
        else float(np.median(total / (steps + 10.0)))
    )
    guess_ttft = float(np.nanmedian(ttft)) if streamed.any() else 5.0 * guess_tpot
    start = np.array([guess_ttft * 0.8, guess_ttft * 0.2 / max(float(tokens.mean()), 1.0), guess_tpot, 0.0])
    scale = np.maximum(start, [1e-3, 1e-6, 1e-4, guess_tpot / 100.0])
    found = least_squares(
        errors, start, bounds=(0.0, np.inf), loss="soft_l1", f_scale=0.2, x_scale=scale, max_nfev=200
    )
    t0, c, a, k = (float(value) for value in found.x)
    return t0, c, max(a, 1e-6), k


def _prices(calls: Sequence[LoggedCall]) -> tuple[float, float]:
    """USD per (input, output) token that explain the logged costs best; zero where nothing was charged."""
    tokens = np.array([(call.input_tokens, call.output_tokens) for call in calls], dtype=np.float64)
    cost = np.array([call.cost_usd for call in calls])
    if not cost.any():
        return 0.0, 0.0
    (input_usd, output_usd), _ = nnls(tokens * 1e-6, cost)
    return float(input_usd) * 1e-6, float(output_usd) * 1e-6
