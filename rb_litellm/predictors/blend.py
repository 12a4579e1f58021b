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

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.lexicon import Floats

BAND = 0.1
"""Differences against the means fade from so much above the certainty that is asked for to so much below."""
CLOSEST = 0.1
"""Share of the distance of two means that then remains at least: their order is never left to rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """Parameters, all found at training."""

    qualities: int
    """The first so many outputs are qualities, the others logarithms of lengths."""
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

    def outputs(self, raw: FloatArray, familiarity: Floats) -> FloatArray:
        """Outputs (R, O) from the trees' raw figures (R, C + O) and the prompts' familiarity (R,)."""
        known = np.minimum(familiarity / max(self.familiar, 1e-9), 1.0) ** 2
        kinds = self.kinds(raw)
        deviations = self.worth * known[:, None] * self._deviations(raw, kinds)
        if kinds.shape[1] and self.recognised:
            certain = kinds.max(axis=1, keepdims=True)
            trust = np.clip((certain - self.recognised) / (2 * BAND) + 0.5, 0.0, 1.0)
            qualities = deviations[:, : self.qualities]
            # A model that no prompt tells anything of has nothing in common with others: it keeps its mean.
            told = self.worth[: self.qualities] > 0.0
            common = (qualities @ (told / max(told.sum(), 1)))[:, None]
            differences = (qualities - common)[:, told]
            kept = _along(differences, self.offset[: self.qualities][told])
            qualities[:, told] = common + kept + trust * (differences - kept)
        return np.asarray(self.offset + deviations)

    def deviations(self, raw: FloatArray) -> FloatArray:
        """Blended deviations (R, O), before worth, familiarity and certainty."""
        return self._deviations(raw, self.kinds(raw))

    def _deviations(self, raw: FloatArray, kinds: FloatArray) -> FloatArray:
        count = len(self.log_prior)
        own = raw[:, count:] * self.scale
        if not count:
            return own
        kind = kinds @ self.kind_deviation
        rest = own - kind
        q = self.qualities
        if q:
            common = rest[:, :q].mean(axis=1, keepdims=True)
            rest[:, :q] = self.own_common * common + self.own_differences * (rest[:, :q] - common)
        rest[:, q:] *= self.own_lengths
        return np.asarray(kind + rest)

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
            name: value.tolist() if isinstance(value := getattr(self, name), np.ndarray) else value
            for name in self.__slots__
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Blend:
        """The opposite of `as_json`.

        Raises:
            ValueError, KeyError, TypeError: the data are not those of a blend.
        """

        def array(name: str) -> FloatArray:
            return np.array(told[name], dtype=np.float64)

        made = cls(
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
        if not len(made.scale) == len(made.worth) == len(made.offset):
            raise ValueError(
                f"{len(made.offset)} offsets, {len(made.scale)} scales, {len(made.worth)} worths"
            )
        return made


def _along(differences: FloatArray, means: FloatArray) -> FloatArray:
    """The part of differences (R, M) that draws the means (M,) apart or together: a multiple of their own.

    None overtakes another: CLOSEST remains of their distance.
    """
    apart = means - means.sum() / max(len(means), 1)
    power = float(apart @ apart)
    if power < 1e-12:
        return np.zeros_like(differences)
    share: FloatArray = np.maximum(differences @ apart / power, CLOSEST - 1.0)
    return np.asarray(share[:, None] * apart)
