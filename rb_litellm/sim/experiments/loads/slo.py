"""Service levels and admission under load: who keeps a limit with and without, and what is shed for it."""

from __future__ import annotations

from functools import cache

from rb_litellm.sim.experiments.comparisons.cluster import capacity
from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.statistics import Spread
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.world import Run

LOADS = (0.6, 0.9, 1.1)
"""Of what all servers can do together."""
OVERLOAD = 1.3
LIMITS_S = (6.0, 8.0)
"""E2E that about 87% and 95% of requests keep at the first load without any limit."""
THETA = 0.9
WAIT_S = 0.5
FREE = "routebalance:balanced"
SHEDDING = f"routebalance-admission:{1000 * WAIT_S:g}"
REQUESTS = 20_000
"""Enough for queues to grow: half a minute to a minute and a half of arrivals."""


@cache
def rate(load: float) -> float:
    """Requests per second at a share of the capacity that `experiment cluster` prints."""
    return float(round(load * sum(capacity(tier) * tier.instances for tier in PAPER_CLUSTER.tiers)))


def tiered(limit_s: float) -> str:
    """The policy that holds every request to a limit."""
    return f"routebalance-slo:tiered,{1000 * limit_s:g},{THETA:g}"


def runs(scale: Scale) -> list[Run]:
    """Each limit and none at three loads; admission and none beyond capacity."""
    many = Scale(scale.seeds, round(REQUESTS * scale.requests / 3534))
    held = (FREE, *(tiered(limit) for limit in LIMITS_S))
    return [
        *grid(held, [rate(load) for load in LOADS], many),
        *grid((FREE, SHEDDING), (rate(OVERLOAD),), many),
    ]


def blocks(measured: Measured) -> list[Block]:
    """Who keeps the limit, and goodput beyond capacity."""
    return [_attainment(measured), _goodput(measured)]


def kept(measured: Measured, policy: str, at: float, limit_s: float) -> Spread:
    """Share of all requests answered within the limit; refused and failed ones are not."""
    results = measured.results(policy, rate=at)
    return Spread.of(float((r.e2e_s <= limit_s).sum()) / (r.e2e_s.size + r.failed) for r in results)


def _attainment(measured: Measured) -> Block:
    rows, gains = [], []
    for limit in LIMITS_S:
        for load in LOADS:
            at = rate(load)
            free, held = kept(measured, FREE, at, limit), kept(measured, tiered(limit), at, limit)
            gains.append((held.median - free.median, f"{limit:g} s at {load:.0%}"))
            quality = (measured.spread(p, "quality", rate=at).text(3) for p in (FREE, tiered(limit)))
            e2e = (measured.spread(p, "mean_e2e_s", rate=at).text() for p in (FREE, tiered(limit)))
            rows.append((f"{limit:g} s, {load:.0%}", free.text(3), held.text(3), *e2e, *quality))
    worse = [f"{what} by {-gain:.4f}" for gain, what in gains if gain < 0.0]
    return Block(
        Table(
            f"Requests answered within a limit, with it (tiered, theta {THETA:g}) and without",
            ("limit, load", "without", "tiered", "E2E (s)", "E2E, tiered", "quality", "quality, tiered"),
            tuple(rows),
            f"Load is the share of what all servers can do together, {rate(1.0):g} requests/s.",
        ),
        (
            Claim(
                "with the limit no fewer requests keep it than without",
                "nowhere fewer" if not worse else "fewer at " + ", ".join(worse),
                not worse,
            ),
        ),
    )


def _goodput(measured: Measured) -> Block:
    at = rate(OVERLOAD)
    rows = []
    for policy, what in ((FREE, "none"), (SHEDDING, f"no queue of more than {WAIT_S:g} s is joined")):
        shares = [kept(measured, policy, at, limit) for limit in LIMITS_S]
        rows.append(
            (
                what,
                *(_times(share, at).text(0) for share in shares),
                measured.spread(policy, "failed", rate=at).text(0),
                measured.spread(policy, "mean_e2e_s", rate=at).text(),
                measured.spread(policy, "p95_e2e_s", rate=at).text(1),
            )
        )
    last = LIMITS_S[-1]
    free, shedding = kept(measured, FREE, at, last), kept(measured, SHEDDING, at, last)
    return Block(
        Table(
            f"Beyond capacity: {at:g} requests/s, {OVERLOAD:.0%}",
            ("admission", *(f"within {x:g} s, per s" for x in LIMITS_S), "refused", "E2E (s)", "p95 E2E (s)"),
            tuple(rows),
            "Goodput: requests answered within the limit, per second of arrivals.",
        ),
        (
            Claim(
                f"admission raises goodput within {last:g} s",
                f"{shedding.median / max(free.median, 1e-9):.2f} times",
                shedding.median > free.median,
            ),
        ),
    )


def _times(share: Spread, factor: float) -> Spread:
    return Spread(share.median * factor, share.low * factor, share.high * factor)


EXPERIMENT = Named("slo", "Service levels and admission", runs, blocks)
