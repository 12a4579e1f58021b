"""A hash of many runs of bytes in one pass of NumPy, the same number wherever a run stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import IntArray

CHUNK = 1 << 16
"""Bytes that are best hashed at once: what fits the processor's cache."""
BASE = 0x2545F4914F6CDD1D
MIX = np.uint64(0x9E3779B97F4A7C15)

Hashes = npt.NDArray[np.uint64]


def hash_runs(codes: npt.NDArray[np.uint8], at: IntArray) -> Hashes:
    """A hash of each run (W,) of `codes` (B,); runs begin at `at` (W,). A code of 0 leaves a hash as it is.

    A run's hash is a polynomial of its codes. All are taken with the powers of their position; that is
    undone run by run by the inverse power, which exists modulo 2^64 for an odd base.
    """
    power, inverse = _powers(codes.size)
    sums = codes * power
    # Sums up to each run's end, less those up to the end before: for short runs sooner than np.add.reduceat.
    np.cumsum(sums, out=sums)
    ends = np.empty_like(at)
    np.subtract(at[1:], 1, out=ends[:-1])
    ends[-1] = codes.size - 1
    upto = sums.take(ends)
    hashes: Hashes = upto.copy()
    hashes[1:] -= upto[:-1]
    if at[0]:
        hashes[0] -= sums[at[0] - 1]
    hashes *= inverse.take(at)
    return hashes


def mixed(hashes: Hashes) -> Hashes:
    """The same, with the upper bits depending on all others: they choose a place in a table."""
    result: Hashes = hashes * MIX
    return result


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """Of BASE and its inverse modulo 2^64."""
    if count <= _POWERS[0].size:
        return _POWERS[0][:count], _POWERS[1][:count]
    return _power_row(BASE, count), _power_row(pow(BASE, -1, 1 << 64), count)


def _power_row(base: int, count: int) -> Hashes:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


_POWERS = _power_row(BASE, 2 * CHUNK), _power_row(pow(BASE, -1, 1 << 64), 2 * CHUNK)
