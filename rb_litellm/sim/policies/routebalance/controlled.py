"""RouteBalance with controls on, as policies of the simulator: prices, service levels, admission.

routebalance-priced:USD_PER_QUALITY,USD_PER_SECOND
routebalance-slo:MODE,E2E_MS[,THETA]        strict, tiered or prefer; THETA is 0.9 by default
routebalance-admission:MAX_WAIT_MS
"""

from __future__ import annotations

from typing import get_args

from rb_litellm.core.decision.scoring import PRESETS, JointScore, Norm, Objective, Priced
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Mode, Slo

NAMES = (
    "routebalance-priced:USD_PER_QUALITY,USD_PER_SECOND",
    "routebalance-slo:MODE,E2E_MS[,THETA]",
    "routebalance-admission:MAX_WAIT_MS",
)


def controls(name: str, norm: Norm = "absolute") -> tuple[Objective, Limits | None] | None:
    """What a policy of that name decides by, balanced but for prices; None for a name that is none of these.

    Raises:
        ValueError: its figures cannot be used.
    """
    kind, _, told = name.partition(":")
    parts = told.split(",")
    balanced = JointScore(PRESETS["balanced"], norm=norm)
    try:
        if kind == "routebalance-priced" and len(parts) == 2:
            return Priced(*map(float, parts)), None
        if kind == "routebalance-slo" and len(parts) in (2, 3):
            return balanced, Limits(slo=_slo(*parts))
        if kind == "routebalance-admission" and len(parts) == 1:
            return balanced, Limits(admission=Admission(float(told) / 1000.0))
    except ValueError as error:
        raise ValueError(f"policy {name!r}: {error}") from None
    return None


def _slo(mode: str, e2e_ms: str, theta: str = "0.9") -> Slo:
    for known in get_args(Mode):
        if mode == known:
            return Slo(e2e_s=float(e2e_ms) / 1000.0, theta=float(theta), mode=known)
    raise ValueError(f"mode is {mode!r}; allowed are {', '.join(get_args(Mode))}")
