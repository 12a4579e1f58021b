"""The small sums on both sides of the trees: from counts of a prompt to their features, from their scores to
quality and length.

What they compute is said where NumPy does it: in `reading.structure`, `reading.encoder` and `trained.blend`.
NumPy sums in another order, and its logarithms and exponentials differ in their last bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.reading import encoder, structure
from rb_litellm.predictors.trained import blend

_Floats = npt.NDArray[np.float32]

_COUNTED: FloatArray = structure.COUNTED
_COUNTS = _COUNTED.shape[1]
_KINDS_OF_BYTES = 6
_LINES = structure.LINES_COUNTED
_WORD_LENGTH, _WORDS, _CHARS, _LINE = structure.WORD_LENGTH, structure.WORDS, structure.CHARS, structure.LINE
_FORM, _PLAIN, _SIGNS, _STARTS = (
    structure.FORM.start,
    structure.PLAIN,
    structure.SIGNS_AT.start,
    structure.SIGNS_AT.stop,
)
_STRUCTURE = structure.STRUCTURE
_LIMIT, _SCALE = encoder.LIMIT, encoder.STRUCTURE_SCALE
_BAND, _CLOSEST = blend.BAND, blend.CLOSEST


def describe(
    counted: IntArray,
    sizes: FloatArray,
    forms: FloatArray,
    starts: IntArray,
    centre: _Floats,
    spread: _Floats,
    table: _Floats,
    read: _Floats,
    features: _Floats,
) -> None:
    """Fill in the features of R prompts (R, S + K), those of S for their structure first.

    `counted` (R, 256) says how often each byte occurs; `sizes` (R, 2) characters and bytes; `forms` is that
    of `structure` (R, F); `starts` (R,) the place of the first word among those known, or -1. `centre` and
    `spread` (S,) and `table` (S, K) are the encoder's, `read` (R, K) is what the n-grams say.
    """
    counts = np.empty(_COUNTS)
    row_of = np.empty(_STRUCTURE)
    for row in range(len(counted)):
        counts[:] = 0.0
        for byte in range(256):
            times = counted[row, byte]
            if times > 0:
                for column in range(_COUNTS):
                    counts[column] += times * _COUNTED[byte, column]
        chars, data = sizes[row, 0], max(sizes[row, 1], 1.0)
        words = counts[_COUNTS - 1] + 1.0
        row_of[:] = 0.0
        for column in range(_KINDS_OF_BYTES):
            row_of[column] = counts[column] / data
        for column in range(forms.shape[1]):
            row_of[_FORM + column] = forms[row, column]
        row_of[_WORD_LENGTH] = chars / words / 8.0
        row_of[_WORDS] = words
        row_of[_CHARS] = chars
        row_of[_LINE] = chars / (counts[_LINES] + 1.0)
        for column in range(_STARTS - _SIGNS):
            row_of[_SIGNS + column] = counts[_KINDS_OF_BYTES + column]
        for column in range(_PLAIN, _STARTS):
            row_of[column] = math.log1p(row_of[column])
        if starts[row] >= 0:
            row_of[_STARTS + starts[row]] = 1.0
        said = features[row, _STRUCTURE:]
        said[:] = read[row]
        for column in range(_STRUCTURE):
            plain = np.float32(row_of[column])
            features[row, column] = plain
            scaled = (plain - centre[column]) / spread[column]
            scaled = min(max(scaled, -_LIMIT), _LIMIT) * _SCALE
            for k in range(said.size):
                said[k] += scaled * table[column, k]


def tell(
    raw: _Floats,
    familiarity: _Floats,
    log_prior: FloatArray,
    of_own: FloatArray,
    of_kinds: FloatArray,
    worth: FloatArray,
    offset: FloatArray,
    along: FloatArray,
    back: FloatArray,
    familiar: float,
    recognised: float,
    outputs: FloatArray,
) -> bool:
    """Fill in outputs (R, O) of a blend from the trees' raw figures (R, C + O); False if one is not finite.

    The other arguments are the blend's: `along` (M, 2) and `back` (2, M) lead from its first M outputs, which
    are qualities, to what is common and what is along the means, and back.
    """
    kinds, qualities = log_prior.size, along.shape[0]
    chance = np.empty(kinds)
    for row in range(len(raw)):
        for column in range(raw.shape[1]):
            if not math.isfinite(raw[row, column]):
                return False
        most = -math.inf
        for kind in range(kinds):
            chance[kind] = raw[row, kind] + log_prior[kind]
            most = max(most, chance[kind])
        total = 0.0
        for kind in range(kinds):
            chance[kind] = math.exp(chance[kind] - most)
            total += chance[kind]
        certain = 0.0
        for kind in range(kinds):
            chance[kind] /= total
            certain = max(certain, chance[kind])
        share = min(familiarity[row] / np.float32(max(familiar, 1e-9)), np.float32(1.0))
        known = np.float64(share * share)
        told = outputs[row]
        told[:] = 0.0
        for own in range(offset.size):
            score = np.float64(raw[row, kinds + own])
            for column in range(offset.size):
                told[column] += score * of_own[own, column]
        for kind in range(kinds):
            for column in range(offset.size):
                told[column] += chance[kind] * of_kinds[kind, column]
        for column in range(offset.size):
            told[column] *= known * worth[column]
        if kinds > 0 and recognised != 0.0:
            trust = min(max((certain - recognised) / (2 * _BAND) + 0.5, 0.0), 1.0)
            common, apart = 0.0, 0.0
            for column in range(qualities):
                common += told[column] * along[column, 0]
                apart += told[column] * along[column, 1]
            apart = max(apart, _CLOSEST - 1.0)
            for column in range(qualities):
                kept = common * back[0, column] + apart * back[1, column]
                told[column] = trust * told[column] + (1.0 - trust) * kept
        for column in range(offset.size):
            told[column] += offset[column]
    return True
