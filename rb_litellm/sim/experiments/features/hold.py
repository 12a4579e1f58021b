"""Holding against refusing alone: goodput beyond capacity, and a quiet key beside one that floods."""

from __future__ import annotations

from functools import cache

import numpy as np

from rb_litellm.sim.experiments.comparisons.cluster import capacity
from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.policies.routebalance.held import QUIET_EVERY, quiet
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.statistics import Spread
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.servers.cluster_file import of_slots
from rb_litellm.sim.world import Run

SLOTS = 16
"""Of each server. With few slots load shows as a queue, which is what admission goes by."""
CALM, OVERLOAD = 0.7, 1.3
"""Of what all servers can do together."""
BURSTS = "gamma:0.02"
"""Arrivals come by the fifty."""
LIMITS_S = (8.0, 12.0)
STRICT_S = 8.0
WAIT_MS, HOLD_S, REQUESTS_HELD = 500, 4, 200
REFUSING = f"routebalance-admission:{WAIT_MS}"
HOLDING = f"routebalance-hold:{WAIT_MS},{HOLD_S},{REQUESTS_HELD}"
ONE_KEY = f"{HOLDING},shared"
STRICT = f"routebalance-slo:strict,{1000 * STRICT_S:g}"
STRICT_HELD = f"routebalance-hold-slo:{1000 * STRICT_S:g},{HOLD_S},{REQUESTS_HELD}"
PAIRS = (("admission", REFUSING, HOLDING), ("strict limit", STRICT, STRICT_HELD))
REQUESTS = 6_000
WANTED_GAIN, WANTED_RISE = 1.25, 1.1


@cache
def rate(load: float) -> float:
    """Requests per second at a share of the capacity of servers with so many slots."""
    tiers = of_slots(PAPER_CLUSTER, SLOTS).tiers
    return float(round(load * sum(capacity(tier) * tier.instances for tier in tiers)))


def runs(scale: Scale) -> list[Run]:
    """Refusing and holding beyond capacity, in a steady stream and in bursts; and a calm day."""
    many = Scale(scale.seeds, round(REQUESTS * scale.requests / 3534))
    both = [policy for _, *pair in PAIRS for policy in pair]
    return [
        *grid((*both, ONE_KEY), (rate(OVERLOAD),), many, slots=SLOTS),
        *grid(both, (rate(OVERLOAD),), many, slots=SLOTS, arrivals=BURSTS),
        *grid((REFUSING, HOLDING, ONE_KEY), (rate(CALM),), many, slots=SLOTS),
    ]


def blocks(measured: Measured) -> list[Block]:
    """Goodput, and the quiet key."""
    return [_goodput(measured), _quiet(measured)]


def _goodput(measured: Measured) -> Block:
    rows, gains = [], {}
    for arrivals in ("poisson", BURSTS):
        for what, refusing, holding in PAIRS:
            found = [measured.results(p, rate=rate(OVERLOAD), arrivals=arrivals) for p in (refusing, holding)]
            cells: list[str] = []
            for limit in LIMITS_S:
                alone, held = ([_good_per_s(r, limit) for r in results] for results in found)
                gain = Spread.of([h / max(a, 1e-9) for a, h in zip(alone, held, strict=True)])
                gains[f"{what}, {arrivals}, {limit:g} s"] = gain.median
                cells += [Spread.of(alone).text(0), Spread.of(held).text(0), gain.text()]
            rows.append((f"{what}, {arrivals}", *cells))
    columns = [c for limit in LIMITS_S for c in (f"refusing, {limit:g} s", f"holding, {limit:g} s", "times")]
    missed = [f"{where}: {gain:.2f}" for where, gain in gains.items() if gain < WANTED_GAIN]
    return Block(
        Table(
            f"Requests/s answered within a limit at {rate(OVERLOAD):g}/s, {OVERLOAD:.0%} of capacity",
            ("refused by, arrivals", *columns),
            tuple(rows),
            f"Servers with {SLOTS} slots. Admission refuses where all waits are over {WAIT_MS} ms; "
            f"held for up to {HOLD_S} s, {REQUESTS_HELD} requests at once. {BURSTS}: in bursts.",
        ),
        (
            Claim(
                f"holding raises goodput to at least {WANTED_GAIN:g} times refusing alone",
                "everywhere" if not missed else "less with " + "; ".join(missed),
                not missed,
            ),
        ),
    )


def _quiet(measured: Measured) -> Block:
    names = ((REFUSING, "refusing"), (ONE_KEY, "holding, as if one key"), (HOLDING, "holding, fair"))
    rows, rises = [], {}
    for policy, what in names:
        calm = measured.results(policy, rate=rate(CALM))
        flood = measured.results(policy, rate=rate(OVERLOAD), arrivals="poisson")
        before, after = [_p95_s(r) for r in calm], [_p95_s(r) for r in flood]
        rise = Spread.of([a / b for a, b in zip(after, before, strict=True)])
        rises[policy] = rise.median
        served = Spread.of([_served(r) for r in flood])
        rows.append((what, Spread.of(before).text(), Spread.of(after).text(), rise.text(), served.text(3)))
    return Block(
        Table(
            f"p95 E2E (s) of a quiet key that sends every {QUIET_EVERY}th request",
            ("policy", f"at {CALM:.0%}", f"at {OVERLOAD:.0%}", "times", "of its requests answered"),
            tuple(rows),
            "The other key sends the rest: beyond capacity it floods. Times are of answered requests.",
        ),
        (
            Claim(
                f"a flood raises the quiet key's p95 to at most {WANTED_RISE:g} times",
                f"{rises[HOLDING]:.2f} times",
                rises[HOLDING] <= WANTED_RISE,
            ),
        ),
    )


def _good_per_s(result: RunResult, limit_s: float) -> float:
    return result.rate * float((result.e2e_s <= limit_s).sum()) / (result.e2e_s.size + result.failed)


def _of_quiet(result: RunResult) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.array([quiet(number) for number in result.number.tolist()], dtype=np.bool_)


def _p95_s(result: RunResult) -> float:
    times = result.e2e_s[_of_quiet(result)]
    return float(np.quantile(times, 0.95)) if times.size else float("nan")


def _served(result: RunResult) -> float:
    everyone = -(-(result.e2e_s.size + result.failed) // QUIET_EVERY)
    return float(_of_quiet(result).sum()) / everyone


EXPERIMENT = Named("hold", "Holding in place of refusing", runs, blocks)
