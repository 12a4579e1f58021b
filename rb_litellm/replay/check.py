"""Validate the fitted cluster: logged against simulated latency, under the log's own policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.logs.server_fit import FittedServer
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.sim.engine import Served

GOOD_MEDIAN_ERROR = 0.15
"""Median error of E2E up to which what the simulation says of other policies is worth hearing."""


@dataclass(frozen=True, slots=True)
class FitCheck:
    """One deployment, or all. Times in s."""

    deployment: str
    origin: str
    """Where its coefficients come from."""
    calls: int
    logged_mean_e2e_s: float
    simulated_mean_e2e_s: float
    logged_p95_e2e_s: float
    simulated_p95_e2e_s: float
    median_error: float
    """Median over calls of |simulated - logged| / logged E2E."""
    mean_error: float

    def as_json(self) -> dict[str, Any]:
        """Rounded for reading."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


def check_fit(
    calls: Sequence[LoggedCall], served: Sequence[Served], servers: Sequence[FittedServer]
) -> list[FitCheck]:
    """All calls first, then each deployment; `served` is the simulation of `calls` in the same order."""
    logged = np.array([call.e2e_s for call in calls])
    simulated = np.array([one.e2e_s for one in served])
    where = np.array([call.deployment for call in calls])
    checks = [_check("all", "", logged, simulated)]
    for server in servers:
        rows = where == server.deployment
        if rows.any():
            checks.append(_check(server.deployment, server.origin, logged[rows], simulated[rows]))
    return checks


def _check(name: str, origin: str, logged: FloatArray, simulated: FloatArray) -> FitCheck:
    errors = np.abs(simulated - logged) / np.maximum(logged, 1e-3)
    return FitCheck(
        name,
        origin,
        len(logged),
        float(logged.mean()),
        float(simulated.mean()),
        float(np.quantile(logged, 0.95)),
        float(np.quantile(simulated, 0.95)),
        float(np.median(errors)),
        float(errors.mean()),
    )
