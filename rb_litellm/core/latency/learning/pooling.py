"""Partial pooling: how far to believe that one deployment of a tier differs from the others.

A deployment that looked 3% faster on a handful of requests must not get all the traffic of its tier. And one
that was never tried must not be judged by a prior that the rest of its tier has left behind. For a deployment
whose log scale differs by d from the centre of its tier after n measurements:

    trusted  = d * n / (n + 3)                                  credibility (Buhlmann, 1967)
    believed = trusted * max(0, 1 - (0.1 / trusted)^2)          non-negative garrote (Breiman, 1995)

Differences below 0.1 (about 10%) are the noise of batching and vanish. Larger ones are shrunk ever less. A
tier of one deployment has no differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

_TRUST = 3.0
"""Measurements after which half of a deployment's difference is trusted."""
_NOISE = 0.1
"""Differences of log scales below this are noise."""
_FEW = 16
"""Up to so many deployments plain floats are quicker than arrays."""


def pooled(log_scale: FloatArray, measured: IntArray) -> FloatArray:
    """Believed log scales (K,) of a tier's deployments, from their own scales (K,) and measurements (K,).

    The tier's centre is the median of the measured scales and a zero, which stands for the tier's shape as
    learned. Without the zero, deployments never tried would count as slow as the only one that was. The only
    deployment of its tier differs from nobody: it is as slow as it was measured.
    """
    if log_scale.size == 1:
        return log_scale
    if not np.count_nonzero(measured):
        return log_scale
    if log_scale.size <= _FEW:
        each = [*zip(log_scale.tolist(), measured.tolist(), strict=True)]
        centre = median_with_zero([scale for scale, count in each if count])
        return np.array([_believed(*its, centre, max) for its in each])
    ordered = np.append(log_scale[measured > 0], 0.0)
    ordered.sort()
    of_all: FloatArray = _believed(log_scale, measured, _middle(ordered), np.maximum)
    return of_all


def _believed(log_scale: Any, measured: Any, centre: float, maximum: Callable[[Any, Any], Any]) -> Any:
    """By the formula above: floats or arrays, as `maximum` takes them."""
    trusted = (log_scale - centre) * measured / (measured + _TRUST)
    noise = _NOISE / maximum(abs(trusted), 1e-12)
    return centre + trusted * maximum(1.0 - noise * noise, 0.0)


def median_with_zero(values: Sequence[float]) -> float:
    """The median of these few values and a zero; `np.median` would take longer than all the rest."""
    return _middle(sorted((0.0, *values)))


def _middle(ordered: FloatArray | Sequence[float]) -> float:
    middle = len(ordered) // 2
    return 0.5 * float(ordered[middle] + ordered[~middle])
