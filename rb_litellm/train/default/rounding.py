"""Figures to the precision at which they do not hang on the processor.

Sums in another order differ by 1e-15 or so, and which order that is BLAS chooses by the processor (kernels of
OpenBLAS for SSE, AVX2 and AVX-512), for the same release of NumPy. So whatever is stored, and whatever trees
are grown from, is rounded to single precision: 24 bits, seven digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray


def rounded(values: Any) -> FloatArray:
    """Values rounded to single precision, as float64."""
    return np.asarray(values).astype(np.float32).astype(np.float64)


def stored(values: Any) -> Any:
    """An array as it is stored: of numbers with a fraction none is more exact than float32."""
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array
