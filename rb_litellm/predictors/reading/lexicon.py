"""Words, pairs of words and some runs of four bytes, weighed by how rare they were in training.

A prompt becomes three hashed bags of n-grams. Each bag holds log(1 + count) times the learned inverse
document frequency and is brought to length 1, so that long prompts weigh no more than short ones. A linear
model reads them: its outputs are sums of a few hundred rows of one table.

Prompts are read as the bytes of UTF-8, many at once: their bytes stand in one array, and every step is one
pass of NumPy over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import IntArray
from rb_litellm.predictors.reading.hashing import CHUNK, Hashes, hash_runs, mixed

try:
    from scipy import sparse
except ImportError:  # An image that only serves does without it: many prompts at once take a little longer.
    sparse = None

BITS = 14
BUCKETS = 1 << BITS
"""Of each kind of n-gram; collisions are accepted. Those of all kinds are numbers of 16 bits: see _sorted."""
KINDS = 3
WIDTH = KINDS * BUCKETS

Floats = npt.NDArray[np.float32]
_Bytes = npt.NDArray[np.uint8]
_Buckets = npt.NDArray[np.uint16]

_FEW = 3
"""Prompts for which making a sparse matrix costs more than it saves."""
RUN_MIX = np.uint32(0x9E3779B1)

# A word is a run of letters; a digit, a sign, a line break and a byte beyond ASCII stand alone.
# As codes: 0 is in no word, 98 to 123 are letters. No byte of UTF-8 is 255.
_CODE = bytearray(256)
for _byte in (10, *range(33, 127), *range(128, 255)):
    _CODE[_byte] = _byte + 1
_CODE[65:91] = _CODE[97:123]
CODES = bytes(_CODE)
_OVER = np.arange(1, 4)
"""A run that begins so much before a text's end reaches into the next text."""
LOG = np.log1p(np.arange(256, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Bags:
    """The different n-grams of R prompts: E entries, sorted by prompt, then by bucket."""

    kinds: IntArray
    """(R * KINDS + 1,) where each kind of n-gram of each prompt begins, and the end."""
    bucket: IntArray
    """(E,) in [0, WIDTH)."""
    count: IntArray

    @property
    def rows(self) -> int:
        """R"""
        return len(self.kinds) // KINDS

    @property
    def begins(self) -> IntArray:
        """(R + 1,) where each prompt's entries begin, and the end."""
        return self.kinds[::KINDS]


def bags(texts: Sequence[bytes]) -> Bags:
    """Count the n-grams of every text, given in UTF-8."""
    chunks = [*map(_sorted, _chunks(texts))] or [(np.zeros(0, dtype=np.uint16), np.zeros(0, dtype=np.int64))]
    every = np.concatenate([buckets for buckets, _ in chunks])
    ends = np.cumsum(np.concatenate([sizes for _, sizes in chunks]))
    # Where a bucket differs from the one before it, or a text begins.
    new = np.empty(every.size + 1, dtype=np.bool_)
    np.not_equal(every[1:], every[:-1], out=new[1:-1])
    new[0] = True
    new[ends[KINDS - 1 :: KINDS]] = True
    at = np.flatnonzero(new)
    kinds = np.zeros(len(ends) + 1, dtype=np.int64)
    kinds[1:] = np.searchsorted(at, ends)
    at, count = at[:-1], at[1:] - at[:-1]
    return Bags(kinds, every.take(at).astype(np.int64), count)


def weigh(bag: Bags, idf: Floats) -> tuple[Floats, Floats]:
    """Weight of every entry (E,) and familiarity (R,) of the prompts, by `idf` (WIDTH,).

    Each kind of a prompt has length 1, or 0 if unknown. Familiarity is the share of a prompt's different
    n-grams that training had seen.
    """
    rarity = idf.take(bag.bucket)
    # No text is without an entry: it stands between line breaks.
    begins = bag.begins
    seen = np.add.reduceat(rarity > 0.0, begins[:-1], dtype=np.float32)
    rarity *= LOG.take(bag.count, mode="clip")
    # A kind without entries gets the first square of the next one, and divides nothing by it. The last kind
    # ends before the 0 that stands behind all: with it the sum would be rounded in another order, and a
    # prompt would weigh differently by what it stands beside.
    squares = np.zeros(rarity.size + 1, dtype=np.float32)
    np.multiply(rarity, rarity, out=squares[:-1])
    power = np.add.reduceat(squares, bag.kinds)[:-1]
    rarity *= np.repeat(1.0 / np.sqrt(np.maximum(power, 1e-12)), bag.kinds[1:] - bag.kinds[:-1])
    return rarity, np.asarray(seen / (begins[1:] - begins[:-1]), dtype=np.float32)


def project(bag: Bags, weights: Floats, table: Floats) -> Floats:
    """Sums over each prompt's entries of weight times row of `table` (WIDTH, K): (R, K)."""
    result: Floats
    if bag.rows < _FEW or sparse is None:
        parts = [slice(*bag.begins[row : row + 2]) for row in range(bag.rows)]
        sums = [weights[part] @ table.take(bag.bucket[part], axis=0) for part in parts]
        result = np.array(sums, dtype=np.float32).reshape(bag.rows, table.shape[1])
        return result
    # SciPy's own indices have 32 bits: others are looked through first, for whether they fit.
    entries = weights, bag.bucket.astype(np.int32), bag.begins.astype(np.int32)
    result = sparse.csr_matrix(entries, (bag.rows, WIDTH)) @ table
    return result


def joined(texts: Sequence[bytes]) -> bytes:
    """Each text between two line breaks, and three bytes that runs of four reach into at the end."""
    return b"".join((b"\n", b"\n\n".join(texts), b"\n\0\0\0"))


def _chunks(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """As many texts at once as CHUNK bytes hold, or a single longer one."""
    first = 0
    while first < len(texts):
        size, end = len(texts[first]), first + 1
        while end < len(texts) and size + len(texts[end]) <= CHUNK:
            size, end = size + len(texts[end]), end + 1
        yield texts[first:end]
        first = end


def _sorted(texts: Sequence[bytes]) -> tuple[_Buckets, IntArray]:
    """The buckets of some texts' n-grams, text by text and sorted; how many a text has of each kind, flat."""
    together = joined(texts)
    ends = np.array([*accumulate(len(text) + 2 for text in texts)])
    length = int(ends[-1])

    # The four bytes from each position on, as one number: views that overlap. The hash itself picks a quarter
    # of all runs, always the same: that quarters their cost, and they tell as much.
    hashes = np.ndarray((length,), "<u4", together, strides=(1,)) * RUN_MIX
    hashes >>= np.uint32(30 - BITS)
    hashes[ends[:, None] - _OVER] = BUCKETS
    kept = np.flatnonzero(hashes < BUCKETS)
    runs: _Buckets = hashes.take(kept).astype(np.uint16)
    runs += np.uint16(2 * BUCKETS)

    at, hashed = _words(np.frombuffer(together.translate(CODES), dtype=np.uint8, count=length))
    pairs = hashed[:-1] * np.uint64(31)
    pairs += hashed[1:]
    words, pairs_of = _bucket(hashed), _bucket(pairs)
    pairs_of += np.uint16(BUCKETS)

    word_ends, run_ends = np.searchsorted(at, ends), np.searchsorted(kept, ends)
    sizes = np.empty((len(texts), KINDS), dtype=np.int64)
    sizes[:, 0], sizes[:, 2] = word_ends, run_ends
    sizes[1:] -= sizes[:-1].copy()
    sizes[:, 1] = sizes[:, 0] - 1
    parts: list[_Buckets] = []
    begins = [0]
    word = run = 0
    for word_end, run_end in zip(word_ends.tolist(), run_ends.tolist(), strict=True):
        # No pair reaches into the next text.
        parts += words[word:word_end], pairs_of[word : word_end - 1], runs[run:run_end]
        word, run = word_end, run_end
        begins.append(2 * word - len(begins) + run)
    every = np.concatenate(parts)
    # Sixteen bits at a time are sorted by counting them, several times faster than longer keys are.
    for begin, end in pairwise(begins):
        every[begin:end].sort(kind="stable")
    return every, sizes.ravel()


def _words(codes: _Bytes) -> tuple[IntArray, Hashes]:
    """Where words begin (W,), and a hash of each (W,)."""
    other = codes - np.uint8(98) > np.uint8(25)
    begins = codes != 0
    begins[1:] &= other[1:] | other[:-1]
    at = np.flatnonzero(begins)
    return at, hash_runs(codes, at)


def _bucket(hashes: Hashes) -> _Buckets:
    result: _Buckets = (mixed(hashes) >> np.uint64(64 - BITS)).astype(np.uint16)
    return result
