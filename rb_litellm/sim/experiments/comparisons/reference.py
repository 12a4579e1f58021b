"""What the reference decides otherwise than we do, each departure alone (`routebalance.reference`)."""

from __future__ import annotations

from rb_litellm.sim.experiments.loads.slo import kept, rate
from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.world import Run

OURS = "routebalance:balanced"
SHARE, GAIN = "routebalance-reference:share", "routebalance-reference:gain"
POSSIBLE = "routebalance-reference:possible"
LIMIT_S = 8.0
OUR_THETA, THEIR_THETA = 0.9, 0.7
TIERED = {
    theta: f"routebalance-slo:tiered,{1000 * LIMIT_S:g},{theta:g}" for theta in (OUR_THETA, THEIR_THETA)
}
REFUSED = f"routebalance-slo:strict,{1000 * LIMIT_S:g},{OUR_THETA:g}"
SHORTEST = f"routebalance-reference:strict,{1000 * LIMIT_S:g}"
RATES = (12.0, 30.0)
LOADS = (0.6, 0.9, 1.1)
"""Of what all servers can do together; there batches and limits count."""
REQUESTS = 10_000
"""Under load, enough for queues to grow."""
_FIGURES = (("mean_e2e_s", 2), ("p95_e2e_s", 2), ("quality", 3), ("cost_usd_per_1k", 4))
_COLUMNS = ("mean E2E (s)", "p95 E2E (s)", "quality", "USD per 1,000")


def runs(scale: Scale) -> list[Run]:
    """Scaled quality at usual rates; the order of batches and limits under load."""
    many = Scale(scale.seeds, round(REQUESTS * scale.requests / 3534))
    return [
        *grid((SHARE, GAIN), RATES, scale),
        *grid((OURS, POSSIBLE, *TIERED.values(), REFUSED, SHORTEST), [rate(load) for load in LOADS], many),
    ]


def blocks(measured: Measured) -> list[Block]:
    """One table for each departure."""
    return [_scaled(measured), _order(measured), _theta(measured), _strict(measured)]


def _figures(measured: Measured, policy: str, at: float) -> tuple[str, ...]:
    return tuple(measured.spread(policy, figure, rate=at).text(digits) for figure, digits in _FIGURES)


def _scaled(measured: Measured) -> Block:
    rows = [
        (f"{at:g}/s, {what}", *_figures(measured, policy, at))
        for at in RATES
        for policy, what in ((SHARE, "share of the best"), (GAIN, "gain over the worst"))
    ]
    return Block(Table("Scaled quality at balanced weights", ("quality as", *_COLUMNS), tuple(rows)))


def _order(measured: Measured) -> Block:
    rows, least = [], 1.0
    for load in LOADS:
        at = rate(load)
        for policy, what in ((OURS, "expected"), (POSSIBLE, "possible")):
            rows.append((f"{load:.0%}, longest {what} first", *_figures(measured, policy, at)))
        least = min(least, measured.ratio(POSSIBLE, OURS, "mean_e2e_s", rate=at).median)
    return Block(
        Table("Order of a batch", ("load, order", *_COLUMNS), tuple(rows)),
        (
            Claim(
                "the longest possible answer first is nowhere quicker by more than 1%",
                f"at best {least:.3f} times the E2E",
                least >= 0.99,
            ),
        ),
    )


def _theta(measured: Measured) -> Block:
    rows, worse = [], []
    for load in LOADS:
        at = rate(load)
        ours, theirs = (kept(measured, TIERED[theta], at, LIMIT_S) for theta in (OUR_THETA, THEIR_THETA))
        qualities = (measured.spread(policy, "quality", rate=at).text(3) for policy in TIERED.values())
        rows.append((f"{load:.0%}", ours.text(3), theirs.text(3), *qualities))
        if ours.median < theirs.median:
            worse.append(f"{load:.0%}")
    return Block(
        Table(
            f"Requests answered within {LIMIT_S:g} s (tiered), by theta",
            ("load", *(f"theta {theta:g}" for theta in TIERED), *(f"quality, {theta:g}" for theta in TIERED)),
            tuple(rows),
        ),
        (
            Claim(
                f"theta {OUR_THETA:g} keeps the limit for no fewer requests than {THEIR_THETA:g}",
                "fewer at " + ", ".join(worse) if worse else "nowhere fewer",
                not worse,
            ),
        ),
    )


def _strict(measured: Measured) -> Block:
    rows, fewer = [], []
    for load in LOADS:
        at = rate(load)
        for policy, what in ((REFUSED, "refused"), (SHORTEST, "shortest queue")):
            rows.append(
                (
                    f"{load:.0%}, {what}",
                    kept(measured, policy, at, LIMIT_S).text(3),
                    measured.spread(policy, "failed", rate=at).text(0),
                    *_figures(measured, policy, at),
                )
            )
        if kept(measured, REFUSED, at, LIMIT_S).median < kept(measured, SHORTEST, at, LIMIT_S).median:
            fewer.append(f"{load:.0%}")
    return Block(
        Table(
            f"A strict limit of {LIMIT_S:g} s that nobody keeps",
            ("load, the request is", f"within {LIMIT_S:g} s", "refused", *_COLUMNS),
            tuple(rows),
            "E2E, quality and cost are those of answered requests.",
        ),
        (
            Claim(
                "refusing leaves no fewer requests within the limit than the shortest queue",
                "fewer at " + ", ".join(fewer) if fewer else "nowhere fewer",
                not fewer,
            ),
        ),
    )


EXPERIMENT = Named("reference", "What the reference does otherwise", runs, blocks)
