"""Partial pooling: how far to believe that one deployment of a tier differs from the others.

A deployment that looked 3% faster on a handful of requests must not get all the traffic of its equals,
and one that nobody has tried yet must not be judged by a prior that its siblings have outgrown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

_TRUST = 3.0
"""Measurements after which half of a deployment's difference is believed."""
_NOISE = 0.1
"""Log ratios below this are the noise of batching; larger ones are shrunk by ever less."""


def pooled(log_scale: FloatArray, measured: IntArray) -> FloatArray:
    """Believed log scales (K,) of a tier's deployments, from their own (K,) and their counts (K,).

    The tier's centre is the median of those measured and of one that is as the tier's shape says, so that
    a deployment nobody has tried is not taken to be as slow as the only one that was. A difference d
    from it, trusted by n / (n + 3), shrinks to d * max(0, 1 - (noise / d)^2), the non-negative garrote
    (Breiman, 1995).
    """
    seen = np.flatnonzero(measured)
    if not seen.size:
        return log_scale
    centre = median_with_zero(log_scale[seen])
    difference = (log_scale - centre) * measured / (measured + _TRUST)
    kept = np.maximum(0.0, 1.0 - np.square(_NOISE / np.maximum(np.abs(difference), 1e-12)))
    return centre + difference * kept


def median_with_zero(values: FloatArray | Sequence[float]) -> float:
    """The median of these values (K,) and a zero; np.median takes as long as all the rest together."""
    ordered = np.zeros(len(values) + 1)
    ordered[1:] = values
    ordered.sort()
    middle = ordered.size // 2
    return 0.5 * float(ordered[middle] + ordered[~middle])
