"""From what the trees say of a prompt to figures per model: the kind of prompt first, then the prompt itself.

The trees give C scores of the kind of prompt (the tasks of the training data) and, for each of O outputs
(quality or log length of a model), its deviation from the output's mean. What an output is for prompts of a
kind is known well; what it is for one prompt is mostly noise. So

    kind      sum over kinds of p(kind | prompt) * mean deviation of that kind
    own       the trees' own deviation
    deviation kind + weight * (own - kind), times worth, times familiarity

Among qualities the deviation common to all models and the differences between models have weights of
their own: only differences decide a route, and they carry less signal. Where no kind is certain they fade,
but for the part along the means: how far apart the models are on this prompt, in the order of their means. An
easy prompt brings them together whatever its kind, and that is what a trade of quality for time or money
needs to know; which model is the best one is what does not carry over to a kind never seen, and that is left
to the means. All weights are found at training by what served best on unseen prompts; worth is 0 where
nothing was found, and the mean remains.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.reading.lexicon import Floats

BAND = 0.1
"""Differences against the means fade from so much above the certainty that is asked for to so much below."""
CLOSEST = 0.1
"""Share of the distance of two means that then remains at least: their order is never left to rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """Parameters, all found at training."""

    qualities: int
    """The first `qualities` outputs are qualities, the others are logarithms of lengths."""
    offset: FloatArray
    """(O,) mean of each output."""
    scale: FloatArray
    """(O,) unit of the trees' deviations."""
    log_prior: FloatArray
    """(C,) of each kind; C may be 0."""
    kind_deviation: FloatArray
    """(C, O) mean deviation among prompts of a kind."""
    own_common: float
    own_differences: float
    own_lengths: float
    worth: FloatArray
    """(O,) in [0, 1]."""
    familiar: float
    """Share of known n-grams from which a prompt counts as familiar."""
    recognised: float = 0.0
    """Probability of the likeliest kind at which half of the differences that are not along the means
    remain; 0 keeps all."""
    _of_own: FloatArray = field(init=False, repr=False)
    """(O, O) deviations by the trees' own."""
    _of_kinds: FloatArray = field(init=False, repr=False)
    """(C, O) the same by kinds."""
    _along: tuple[FloatArray, FloatArray] = field(init=False, repr=False)
    """(M, 2) and (2, M): from qualities to what is common and what is along the means, and back."""
    _of_loop: tuple[Any, ...] = field(init=False, repr=False)
    """What `figure_loops.tell` is given of them."""

    def __post_init__(self) -> None:
        outputs, q = len(self.offset), self.qualities
        if not len(self.scale) == len(self.worth) == outputs:
            raise ValueError(f"{outputs} offsets, {len(self.scale)} scales, {len(self.worth)} worths")
        weights = np.eye(outputs)
        if len(self.log_prior):
            weights[:q, :q] *= self.own_differences
            weights[:q, :q] += (self.own_common - self.own_differences) / max(q, 1)
            weights[q:, q:] *= self.own_lengths
        # A model that no prompt tells anything of has nothing in common with others: it keeps its mean.
        told = (self.worth[:q] > 0.0).astype(np.float64)
        share = told / max(told.sum(), 1.0)
        apart = told * (self.offset[:q] - share @ self.offset[:q])
        power = float(apart @ apart)
        along = apart / power if power > 1e-12 else np.zeros(q)
        object.__setattr__(self, "_of_own", self.scale[:, None] * weights)
        object.__setattr__(self, "_of_kinds", self.kind_deviation @ (np.eye(outputs) - weights))
        object.__setattr__(self, "_along", (np.stack([share, along], axis=1), np.stack([told, apart])))
        arrays = (self.log_prior, self._of_own, self._of_kinds, self.worth, self.offset, *self._along)
        plain = [np.ascontiguousarray(array, dtype=np.float64) for array in arrays]
        object.__setattr__(self, "_of_loop", (*plain, float(self.familiar), float(self.recognised)))

    def told(self, raw: Floats, familiarity: Floats) -> FloatArray | None:
        """`outputs`, by a compiled loop where there is one; None where a raw figure is not finite."""
        return IN_USE.either(
            lambda loops: self.told_by_loops(loops, raw, familiarity),
            lambda: self.outputs(raw.astype(np.float64), familiarity) if np.isfinite(raw).all() else None,
        )

    def told_by_loops(self, loops: Loops, raw: Floats, familiarity: Floats) -> FloatArray | None:
        """The same by the loop."""
        outputs = np.empty((len(raw), len(self.offset)))
        given = np.ascontiguousarray(raw, dtype=np.float32)
        return outputs if loops.tell(given, familiarity, *self._of_loop, outputs) else None

    def outputs(self, raw: FloatArray, familiarity: Floats) -> FloatArray:
        """Outputs (R, O) from the trees' raw figures (R, C + O) and the prompts' familiarity (R,)."""
        known = np.minimum(familiarity / max(self.familiar, 1e-9), 1.0)
        known *= known
        kinds = self.kinds(raw)
        deviations = self._deviations(raw, kinds)
        deviations *= known[:, None] * self.worth
        if kinds.shape[1] and self.recognised:
            certain = kinds.max(axis=1, keepdims=True)
            trust = np.minimum(np.maximum((certain - self.recognised) / (2 * BAND) + 0.5, 0.0), 1.0)
            qualities = deviations[:, : self.qualities]
            kept = self._along_means(qualities)
            qualities *= trust
            qualities += (1.0 - trust) * kept
        deviations += self.offset
        return np.asarray(deviations)

    def deviations(self, raw: FloatArray) -> FloatArray:
        """Blended deviations (R, O), before worth, familiarity and certainty."""
        return self._deviations(raw, self.kinds(raw))

    def _deviations(self, raw: FloatArray, kinds: FloatArray) -> FloatArray:
        result: FloatArray = raw[:, kinds.shape[1] :] @ self._of_own
        if kinds.shape[1]:
            result += kinds @ self._of_kinds
        return result

    def _along_means(self, qualities: FloatArray) -> FloatArray:
        """Of deviations of qualities (R, M): what is common, and what draws the means apart or together.

        None overtakes another: CLOSEST remains of their distance.
        """
        parts = qualities @ self._along[0]
        np.maximum(parts[:, 1], CLOSEST - 1.0, out=parts[:, 1])
        result: FloatArray = parts @ self._along[1]
        return result

    def kinds(self, raw: FloatArray) -> FloatArray:
        """Probability of each kind, (R, C)."""
        scores = raw[:, : len(self.log_prior)] + self.log_prior
        if not scores.shape[1]:
            return np.asarray(scores)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    def but(self, **changes: Any) -> Blend:
        """The same with other parameters."""
        return replace(self, **changes)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            told.name: value.tolist() if isinstance(value := getattr(self, told.name), np.ndarray) else value
            for told in fields(self)
            if told.init
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Blend:
        """The opposite of `as_json`.

        Raises:
            ValueError, KeyError, TypeError: the data are not those of a blend.
        """

        def array(name: str) -> FloatArray:
            return np.array(told[name], dtype=np.float64)

        return cls(
            qualities=int(told["qualities"]),
            offset=array("offset"),
            scale=array("scale"),
            log_prior=array("log_prior"),
            kind_deviation=array("kind_deviation").reshape(len(told["log_prior"]), len(told["offset"])),
            own_common=float(told["own_common"]),
            own_differences=float(told["own_differences"]),
            own_lengths=float(told["own_lengths"]),
            worth=array("worth"),
            familiar=float(told["familiar"]),
            recognised=float(told["recognised"]),
        )
