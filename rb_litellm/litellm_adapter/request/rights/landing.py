"""How far weights have shifted to cost, by what a key, team or model name has used (`core.targets`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rb_litellm.controls import Level, Plan
from rb_litellm.core.targets.landing import shift
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.shared.exchange.day_spend import DaySpend
from rb_litellm.litellm_adapter.shared.exchange.fleet_sums import FleetSums


class Landing(NamedTuple):
    """On whom a request counts, and how far the weights of these have shifted."""

    spender: str | None = None
    """On whose day's dollars its cost counts; None where none are set."""
    asker: str | None = None
    """In whose minute's requests it counts; None where none are set."""
    shifted: float = 0.0
    """From 0, not at all, to 1: cost decides."""


_NONE = Landing()


def landing(
    plan: Plan,
    day_spend: DaySpend,
    minute_requests: FleetSums,
    arrival: Arrival,
    owner: Callable[[Level | None], str],
) -> Landing:
    """The larger shift of both; `arrival` notes them in words.

    `owner` says whose it is that a level has set.
    """
    if plan.usd_per_day is None and plan.requests_per_minute is None:
        return _NONE
    spender = asker = None
    of_day = of_minute = 0.0
    if plan.usd_per_day is not None:
        spender = owner(plan.sources.get("usd_per_day"))
        spent_usd = day_spend.spent_usd(spender)
        of_day = shift(spent_usd, plan.usd_per_day)
        arrival.day = f"{spent_usd:.6g} of {plan.usd_per_day:.6g} USD, shifted {of_day:g}"
    if plan.requests_per_minute is not None:
        asker = owner(plan.sources.get("requests_per_minute"))
        asked = minute_requests.recent(asker)
        of_minute = shift(asked, plan.requests_per_minute)
        arrival.minute = f"{asked:.0f} of {plan.requests_per_minute} requests, shifted {of_minute:g}"
    return Landing(spender, asker, max(of_day, of_minute))
