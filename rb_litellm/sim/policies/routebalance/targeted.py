"""RouteBalance steered by targets, by the name of a policy.

routebalance-targets:NAME=BOUND[,...][,maximise=quality|speed|saving]     NAME is cost, p95 or quality
"""

from __future__ import annotations

from typing import Any, get_args

from rb_litellm.core.targets.stated import Maximised, Targets

NAMES = ("routebalance-targets:NAME=BOUND[,...][,maximise=quality|speed|saving]",)
_BOUNDS = {"cost": "cost_usd_per_1k", "p95": "e2e_p95_s", "quality": "quality_min"}


def targets(name: str) -> Targets | None:
    """What a policy of that name is steered to; None for any other name.

    Raises:
        ValueError: its figures cannot be used.
    """
    kind, _, told = name.partition(":")
    if kind != "routebalance-targets":
        return None
    given: dict[str, Any] = {}
    try:
        for part in told.split(","):
            bound, _, value = part.partition("=")
            if bound == "maximise":
                if value not in get_args(Maximised):
                    raise ValueError(f"maximise is {value!r}; allowed are {', '.join(get_args(Maximised))}")
                given[bound] = value
            elif bound in _BOUNDS:
                given[_BOUNDS[bound]] = float(value)
            else:
                raise ValueError(f"{part!r} names no target; there are {', '.join(_BOUNDS)} and maximise")
        return Targets(**given)
    except ValueError as error:
        raise ValueError(f"policy {name!r}: {error}") from None
