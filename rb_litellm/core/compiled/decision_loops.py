"""The forecast and the score of a request on N deployments, as plain loops that numba compiles.

What they compute is said where NumPy does it: in `latency.forecast`, `decision.scoring`, `decision.best`,
`score_table`. Forecasts are the same to the last bit; a logarithm may differ in it. Arrays are (N,) unless
said otherwise; R are the requests of a batch.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray


def load_parts(
    tpot_s: FloatArray,
    tpot_s_per_running: FloatArray,
    prefill_share: FloatArray,
    ttft_s: FloatArray,
    ttft_s_per_running: FloatArray,
    prefill_s_per_token: FloatArray,
    ridge_tokens: FloatArray,
    slots: FloatArray,
    join_steps: FloatArray,
    in_flight: FloatArray,
    pending_prefill: FloatArray,
    pending_decode: FloatArray,
    first: int,
    end: int,
    parts: FloatArray,
) -> None:
    """Fill in what of a forecast depends on load alone, (PARTS, N), from row `first` up to `end`.

    It is what `forecast.load_part` returns.
    """
    for row in range(first, end):
        met = in_flight[row]
        others = min(met, slots[row] - 1.0)
        waiting = met - others
        tpot = tpot_s[row] + tpot_s_per_running[row] * others
        decoding_share = 1.0 - prefill_share[row]
        step_s = tpot * decoding_share
        growth = tpot_s_per_running[row] * decoding_share
        used = max(others + 1.0, 1.0)
        rounds = waiting / used
        rounds_s = pending_decode[row] / max(met, 1.0) * step_s
        begin_s = ttft_s[row] + ttft_s_per_running[row] * others
        wait = rounds_s * (rounds + 0.5 * (used - 1.0) / used * min(rounds, 1.0))
        wait = wait + begin_s * max(waiting - 1.0, 0.0) / used
        join_s = join_steps[row] * min(others, 1.0) * step_s
        running = min(met, slots[row])
        pending_s = prefill_s_per_token[row] * pending_prefill[row]
        ridge_s = prefill_s_per_token[row] * ridge_tokens[row]
        pending_root_s = math.sqrt(ridge_s * ridge_s + pending_s * pending_s)
        parts[0, row] = wait
        parts[1, row] = max(wait, join_s) + begin_s + (pending_root_s - ridge_s)
        parts[2, row] = tpot
        parts[3, row] = running
        parts[4, row] = growth * running
        parts[5, row] = growth * pending_decode[row]
        parts[6, row] = prefill_s_per_token[row]
        parts[7, row] = pending_s
        parts[8, row] = ridge_s * ridge_s
        parts[9, row] = pending_root_s


def forecast_times(
    parts: FloatArray, prefill_tokens: FloatArray, output_tokens: FloatArray, times: FloatArray
) -> None:
    """Fill in wait, TTFT, TPOT, E2E and burden of one request, the first five rows of `times` (5 or more, N).

    `parts` is what `load_parts` fills in.
    """
    for row in range(parts.shape[1]):
        prefill = parts[6, row] * prefill_tokens[row] + parts[7, row]
        prefill = math.sqrt(prefill * prefill + parts[8, row]) - parts[9, row]
        ttft = parts[1, row] + prefill
        times[0, row] = parts[0, row]
        times[1, row] = ttft
        times[2, row] = parts[2, row]
        times[3, row] = max(output_tokens[row] - 1.0, 0.0) * parts[2, row] + ttft
        burden = min(output_tokens[row] * parts[4, row], parts[5, row])
        times[4, row] = burden + parts[3, row] * prefill


def worth_of(
    amount: FloatArray, more: FloatArray, slope: float, nought: float, least: float, value: FloatArray
) -> None:
    """Fill in what amounts are worth, each with what comes on top of it: see `scoring.worth`."""
    most = math.log(nought)
    for row in range(amount.size):
        value[row] = slope * (most - math.log(amount[row] + more[row] + least))


def best_of(
    scores: FloatArray, in_flight: FloatArray, last_chosen: FloatArray, tie: float, best: IntArray
) -> int:
    """Fill in the best rows and return how many there are: 0 where the highest score is not finite.

    They are those within `tie` of the highest score, of them those with the shortest queue, and of these the
    least recently chosen.
    """
    top = -math.inf
    for row in range(scores.size):
        if math.isnan(scores[row]):
            return 0
        top = max(top, scores[row])
    if not math.isfinite(top):
        return 0
    found = 0
    shortest, oldest = np.inf, np.inf
    for row in range(scores.size):
        if scores[row] < top - tie:
            continue
        if found == 0 or (in_flight[row], last_chosen[row]) < (shortest, oldest):
            shortest, oldest, found = in_flight[row], last_chosen[row], 0
        elif in_flight[row] != shortest or last_chosen[row] != oldest:
            continue
        best[found] = row
        found += 1
    return found


def place_several(
    tpot_s: FloatArray,
    tpot_s_per_running: FloatArray,
    prefill_share: FloatArray,
    ttft_s: FloatArray,
    ttft_s_per_running: FloatArray,
    prefill_s_per_token: FloatArray,
    ridge_tokens: FloatArray,
    slots: FloatArray,
    join_steps: FloatArray,
    in_flight: FloatArray,
    pending_prefill: FloatArray,
    pending_decode: FloatArray,
    parts: FloatArray,
    servers: IntArray,
    deployments: IntArray,
    last_chosen: FloatArray,
    now: float,
    tie: float,
    scales: FloatArray,
    prices: FloatArray,
    input_tokens: FloatArray,
    output_tokens: FloatArray,
    quality: FloatArray,
    allowed: BoolArray,
    failures: FloatArray,
    weights: FloatArray,
    figures: FloatArray,
    met: FloatArray,
    chosen: IntArray,
    best: IntArray,
    at: IntArray,
    end: int,
    alone: bool,
) -> int:
    """Score requests up to `end`, and place each on its best deployment before the next one is scored.

    `at` (1,) is the request to begin with, and then the one that is scored and left: the first that there is
    a choice for, and with `alone` each. How many deployments are equally good for it is returned (0: none
    is), and they are filled in into `best`. Whoever makes the choice writes it into `chosen` and calls again.
    If none is left, `at` is `end`.

    `scales` (2, 3) are slope, nought and least of `worth_of`, for times and for costs; `prices` (2, N) USD of
    a token of input and of output. By request: tokens of input (R,) and output (R, N), quality (R, N), where
    it may go (R, N), seconds and USD for failures (2, R, N), the weights of quality, latency and cost (R, 3).
    Filled in are `figures` (R, 9, N): the times of `forecast_times`, the cost, what times and cost are worth,
    the score; and of those that were placed the load that they met, (R, 2), and the row (R,), below 0 before.
    Those with the same number in `servers` share their load, in `deployments` when they were last chosen.
    """
    count = in_flight.size
    prefill = np.empty(count)
    most_s, most_usd = math.log(scales[0, 1]), math.log(scales[1, 1])
    for row in range(at[0], end):
        if chosen[row] < 0:
            prefill[:] = input_tokens[row]
            told = figures[row]
            forecast_times(parts, prefill, output_tokens[row], told)
            for one in range(count):
                usd = input_tokens[row] * prices[0, one] + output_tokens[row, one] * prices[1, one]
                priced_s = told[3, one] + told[4, one] + failures[0, row, one]
                priced_usd = usd + failures[1, row, one]
                told[5, one] = usd
                told[6, one] = scales[0, 0] * (most_s - math.log(priced_s + scales[0, 2]))
                told[7, one] = scales[1, 0] * (most_usd - math.log(priced_usd + scales[1, 2]))
                score = weights[row, 0] * quality[row, one] + weights[row, 2] * told[7, one]
                score += weights[row, 1] * told[6, one]
                told[8, one] = score if allowed[row, one] else -math.inf
            found = best_of(told[8], in_flight, last_chosen, tie, best)
            if found != 1 or alone:
                at[0] = row
                return found
            chosen[row] = best[0]
        its = chosen[row]
        met[row, 0], met[row, 1] = in_flight[its], pending_prefill[its]
        for other in range(count):
            if servers[other] == servers[its]:
                in_flight[other] += 1.0
                pending_prefill[other] += input_tokens[row]
                pending_decode[other] += output_tokens[row, its]
                load_parts(
                    tpot_s, tpot_s_per_running, prefill_share, ttft_s, ttft_s_per_running,
                    prefill_s_per_token, ridge_tokens, slots, join_steps, in_flight, pending_prefill,
                    pending_decode, other, other + 1, parts,
                )  # fmt: skip
            if deployments[other] == deployments[its]:
                last_chosen[other] = now
    at[0] = end
    return 0
