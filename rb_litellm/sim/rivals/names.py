"""Rivals by name, as `routebalance simulate --policy NAME` takes them."""

from __future__ import annotations

from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.rivals.least_busy import ReservingLeastBusy
from rb_litellm.sim.rivals.multi_factor import EQUAL_WEIGHTS, MultiFactor
from rb_litellm.sim.rivals.sticky import MAX_TTFT_PENALTY_S, StickyUntilSaturated
from rb_litellm.sim.servers.cluster import Cluster

NAMES = (
    "multi-factor[=QUALITY,LATENCY,COST,LOAD]",
    "sticky-until-saturated[=MAX_PENALTY_S]",
    "least-busy-1.110",
)


def rival(name: str, cluster: Cluster, workers: int, seed: int) -> Policy | None:
    """A new policy of that name; None for a name that is none of these.

    Raises:
        ValueError: its figures cannot be used.
    """
    kind, _, told = name.partition("=")
    if kind == "multi-factor":
        weights = _numbers(name, told, 4) if told else EQUAL_WEIGHTS
        return MultiFactor(name, cluster, (weights[0], weights[1], weights[2], weights[3]), workers, seed)
    if kind == "sticky-until-saturated":
        penalty_s = _numbers(name, told, 1)[0] if told else MAX_TTFT_PENALTY_S
        return StickyUntilSaturated(name, cluster, penalty_s, seed)
    if name == "least-busy-1.110":
        return ReservingLeastBusy(name, sum(tier.instances for tier in cluster.tiers))
    return None


def _numbers(name: str, told: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, told.split(",")))
    except ValueError:
        numbers = ()
    if (
        len(numbers) != count
        or not all(0.0 <= n < float("inf") for n in numbers)
        or (count > 1 and not sum(numbers))
    ):
        raise ValueError(f"policy {name!r}: needs {count} numbers from 0 up after '=', not all 0 if several")
    return numbers
