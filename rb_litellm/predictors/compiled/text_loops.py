"""Loops over the bytes of prompts: their n-grams, read by a linear model, and their tokens.

Plain Python that numba compiles (see `loading`); uncompiled it gives the same figures, slowly. What the loops
compute is said where NumPy does it: in `reading.lexicon`, `reading.structure`, `reading.hashing` and
`reading.piece_counts`. A loop reads its constants once, when it is compiled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import IntArray
from rb_litellm.predictors.reading import hashing, lexicon, pieces

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]
_Tags = npt.NDArray[np.uint32]

_CODES: _Bytes = np.frombuffer(lexicon.CODES, dtype=np.uint8).copy()
_LOG: _Floats = lexicon.LOG
_BUCKETS, _WIDTH, _KINDS = lexicon.BUCKETS, lexicon.WIDTH, lexicon.KINDS
_BASE, _MIX = np.uint64(hashing.BASE), np.uint64(hashing.MIX)
_RUN_MIX, _RUN_SHIFT = np.uint32(lexicon.RUN_MIX), np.uint32(30 - lexicon.BITS)
_SHIFT, _PAIR = np.uint64(64 - lexicon.BITS), np.uint64(31)
_FIRST_LETTER, _LETTERS = 98, 26
_ZERO, _ONE, _TWO, _THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_PAIRS_FROM, _RUNS_FROM = np.uint32(_BUCKETS), np.uint32(2 * _BUCKETS)
_BYTE, _TWO_BYTES, _THREE_BYTES = np.uint32(8), np.uint32(16), np.uint32(24)

# A byte of 0 divides nothing here, and every piece has a byte.
_KIND: _Bytes = np.frombuffer(pieces.KIND.replace(bytes([pieces.END]), bytes([pieces.SIGN])), np.uint8).copy()
_SIGN, _LETTER, _DIGIT, _SPACE, _BREAK = pieces.SIGN, pieces.LETTER, pieces.DIGIT, pieces.SPACE, pieces.BREAK
_TAB, _END = pieces.TAB, pieces.END
_APOSTROPHE, _CASE = 39, 32
_TAG_SHIFT, _PLACE_SHIFT = np.uint64(8), np.uint64(64 - pieces.BITS)
_TOKENS, _TAKEN = np.uint32(pieces.TOKENS), np.uint32(pieces.TAKEN)


def read_texts(
    data: _Bytes,
    ends: IntArray,
    idf: _Floats,
    table: _Floats,
    histograms: IntArray,
    read: _Floats,
    familiarity: _Floats,
) -> None:
    """Fill in how often each byte occurs (R, 256), what the n-grams say (R, K), and familiarity (R,).

    `data` holds R texts, each between two line breaks, and three more bytes; a text ends before `ends` (R,)
    with its second line break. What is filled in is 0 before.
    """
    count = np.zeros(_WIDTH, dtype=np.int32)
    longest = 0
    begin = 0
    for end in ends:
        longest = max(longest, end - begin)
        begin = end
    seen = np.empty(_KINDS * longest + 1, dtype=np.uint32)
    power = np.empty(_KINDS, dtype=np.float32)
    begin = _ZERO
    for row in range(ends.size):
        end = np.uint64(ends[row])
        for at in range(begin + _ONE, end - _ONE):
            histograms[row, data[at]] += 1
        different = 0
        # Runs of four bytes.
        for at in range(begin, max(end, _THREE) - _THREE):
            four = (
                np.uint32(data[at])
                | np.uint32(data[at + _ONE]) << _BYTE
                | np.uint32(data[at + _TWO]) << _TWO_BYTES
                | np.uint32(data[at + _THREE]) << _THREE_BYTES
            )
            run = np.uint32(four * _RUN_MIX) >> _RUN_SHIFT
            if run < _BUCKETS:
                place = run + _RUNS_FROM
                if count[place] == 0:
                    seen[different] = place
                    different += 1
                count[place] += 1
        # Words and pairs of words. A word ends where the next one begins: blanks count for nothing.
        word, before, factor = _ZERO, _ZERO, _ONE
        words = 0
        letter_before = False
        for at in range(begin, end + _ONE):
            code = _CODES[data[at]] if at < end else 0
            letter = _FIRST_LETTER <= code < _FIRST_LETTER + _LETTERS
            if at == end or (code != 0 and not (letter and letter_before)):
                if words > 0:
                    place = np.uint32((word * _MIX) >> _SHIFT)
                    if count[place] == 0:
                        seen[different] = place
                        different += 1
                    count[place] += 1
                if words > 1:
                    place = np.uint32(((before * _PAIR + word) * _MIX) >> _SHIFT) + _PAIRS_FROM
                    if count[place] == 0:
                        seen[different] = place
                        different += 1
                    count[place] += 1
                before, word, factor = word, _ZERO, _ONE
                words += 1
            word += np.uint64(code) * factor
            factor *= _BASE
            letter_before = letter
        total = read[row]
        # Weights: each kind of n-gram is brought to length 1.
        power[:] = 0.0
        known = 0
        for n in range(different):
            place = seen[n]
            rarity = idf[place]
            if rarity > 0.0:
                known += 1
                weight = rarity * _LOG[min(count[place], _LOG.size - 1)]
                power[place // _BUCKETS] += weight * weight
        for kind in range(_KINDS):
            power[kind] = np.float32(1.0) / np.sqrt(max(power[kind], np.float32(1e-12)))
        for n in range(different):
            place = seen[n]
            rarity = idf[place]
            if rarity > 0.0:
                weight = rarity * _LOG[min(count[place], _LOG.size - 1)] * power[place // _BUCKETS]
                said = table[place]
                for k in range(said.size):
                    total[k] += weight * said[k]
            count[place] = 0
        familiarity[row] = np.float32(known) / np.float32(different)
        begin = end


def count_pieces(data: _Bytes, ends: IntArray, table: _Tags, counts: IntArray, unknown: IntArray) -> int:
    """Fill in the tokens of R texts of ASCII (R,), but for pieces that the table does not know.

    Of those, row, begin and end in the text, place in the table and tag are written to `unknown` (U, 5).
    Returns how many there are, or -1 where there are more than U. `data` holds the texts, one by one, without
    bytes of 0; each ends before `ends` (R,). The table is that of `pieces.Vocabulary`.
    """
    found = 0
    at = 0
    for row in range(ends.size):
        begin, end = at, ends[row]
        tokens = 0
        while at < end:
            kind = _KIND[data[at]]
            after = _KIND[data[at + 1]] if at + 1 < end else _END
            stop = at + 1
            if kind == _DIGIT:
                while stop < end and stop < at + 3 and _KIND[data[stop]] == _DIGIT:
                    stop += 1
                at = stop
                tokens += 1
                continue
            alone = 0
            if data[at] == _APOSTROPHE and after == _LETTER:
                first = data[at + 1] | _CASE
                second = data[at + 2] | _CASE if at + 2 < end else 0
                if first == 115 or first == 100 or first == 109 or first == 116:  # s, d, m, t
                    alone = 2
                elif (
                    (first == 108 and second == 108)  # ll
                    or (first == 118 and second == 101)  # ve
                    or (first == 114 and second == 101)  # re
                ):
                    alone = 3
            if alone:
                stop = at + alone
            elif kind == _LETTER or (after == _LETTER and kind != _BREAK):
                while stop < end and _KIND[data[stop]] == _LETTER:
                    stop += 1
            elif kind == _SIGN or (kind == _SPACE and after == _SIGN):
                while stop < end and _KIND[data[stop]] == _SIGN:
                    stop += 1
                while stop < end and _KIND[data[stop]] == _BREAK:
                    stop += 1
            else:
                # White space: all of it at the end of a text, else up to its last line break, else all but
                # its last.
                last_break = at if kind == _BREAK else at - 1
                while stop < end and _SPACE <= _KIND[data[stop]] <= _BREAK:
                    if _KIND[data[stop]] == _BREAK:
                        last_break = stop
                    stop += 1
                if stop < end:
                    if last_break >= at:
                        stop = last_break + 1
                    elif stop > at + 1:
                        stop -= 1
            code, factor = _ZERO, _ONE
            for byte in data[at:stop]:
                code += np.uint64(byte) * factor
                factor *= _BASE
            code *= _MIX
            tag = np.uint32(code >> _TAG_SHIFT) & ~_TOKENS | _TAKEN
            place = np.int64(code >> _PLACE_SHIFT)
            held = table[place]
            if (held ^ tag) <= _TOKENS:
                tokens += np.int64(held & _TOKENS)
            else:
                if found == len(unknown):
                    return -1
                unknown[found, 0] = row
                unknown[found, 1] = at - begin
                unknown[found, 2] = stop - begin
                unknown[found, 3] = place
                unknown[found, 4] = tag
                found += 1
            at = stop
        counts[row] = tokens
    return found
