"""Quality and output length of any prompt on any model, from the first request on.

A prompt is read once (`prompt_reading`): its kind, the level L of right answers that a middling model gives,
the steepness S, the log odds that one unit of ability adds. A model is its abilities by kind (`abilities`).
With a(r, m) the mean over kinds of the model's ability by P(kind | prompt), an item-response curve (the
two-parameter logistic model of Birnbaum, 1968) through L:

    quality = sigmoid(logit L + S a + b)

More ability never makes less of it. Of models that the training data have answers of, b(r, m) says at which
tasks they are better or worse than that (`measured`); of others it is 0. An operator's `quality` moves the
curve until the model's mean is that; the differences between prompts stay.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray, ModelPredictions, Prompt
from rb_litellm.predictors.default.abilities import KINDS, Known, Population
from rb_litellm.predictors.default.measured import Measured
from rb_litellm.predictors.default.prompt_reading import PromptReader
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.trained.model import mean_of_quantiles

MAX_SETS = 256
"""Sets of models whose abilities are kept; the least recently used is dropped."""
LEAST_LEVEL = 0.03
LEAST_STEEPNESS = 0.02
"""Log odds that ability adds at least, so that the better model is never predicted to be the worse one."""
_CURVE_LIMIT = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What is predicted of R prompts on M models."""

    predictions: ModelPredictions
    kinds: tuple[str, ...]
    """(R,) the likeliest kind of each prompt."""
    certainty: FloatArray
    """(R,) in [0, 1], how sure the kind is."""


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """What abilities of a kind amount to, found at training."""

    unit: FloatArray
    """(K,) log odds that one standard deviation of ability is worth, in units of the prompt's steepness."""
    reference: FloatArray
    """(K, P, 2) level and steepness of P typical prompts of each kind."""
    length_residuals: FloatArray
    """(K, Q) quantiles of the logarithm of a length about what is predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    known: tuple[Known, ...]
    abilities: FloatArray
    """(K, M) in units of the prompt's steepness."""
    by_kind: FloatArray
    """(K, M) log odds by which answers, or an operator's word, move a model on prompts of a kind."""
    by_task: FloatArray
    """(C, M) log odds by which answers move it on those of a task, beyond what they do for the kind."""
    certainty: FloatArray
    """(M,)"""
    output_tokens: FloatArray
    """(M,) an operator's word, NaN without."""


class DefaultPredictor:
    """Made by `routebalance train --default`."""

    def __init__(
        self,
        reader: PromptReader,
        population: Population,
        scales: Scales,
        measured: Measured,
        version: str,
    ) -> None:
        self.version = version
        self._reader = reader
        self._population = population
        self._scales = scales
        self._measured = measured
        self._sets: OrderedDict[tuple[ModelInfo, ...], _Models] = OrderedDict()
        typical = np.exp(reader.offset[2])
        self._typical_tokens = float(typical * mean_of_quantiles(np.exp(scales.length_residuals)).mean())

    def known(self, info: ModelInfo) -> Known:
        """What a model is taken for."""
        return self._population.known(info)

    def graded_tasks(self, known: Known) -> int:
        """On how many tasks answers of such a model were graded, and count."""
        return int(np.count_nonzero(self._measured.of((known,))))

    def mean_quality(self, info: ModelInfo) -> float:
        """Mean quality of a model over typical prompts of all kinds."""
        known = (self.known(info),)
        shifts = self._measured.by_kind(self._measured.of(known))
        return float(_share(self._means(self._abilities(known)[:, 0], shifts[:, 0])).mean())

    def scale_of(self, measured: Sequence[tuple[ModelInfo, float]]) -> Callable[[ModelInfo], float | None]:
        """Mean quality of other models on the scale of some whose mean was measured; None without any."""
        if not measured:
            return lambda info: None
        apart = [
            log_odds(np.array(mean)) - log_odds(np.array(self.mean_quality(info))) for info, mean in measured
        ]
        moved = float(np.mean(apart))
        return lambda info: float(_share(log_odds(np.array(self.mean_quality(info))) + moved))

    def predict(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> ModelPredictions:
        """Quality (R, M), output tokens (R, M) and their quantiles (R, M, Q), not capped."""
        return self.tell(prompts, models).predictions

    def tell(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> Told:
        """The same with the kind of each prompt."""
        asked = self._models(tuple(models))
        read = self._reader.read(prompts)
        abilities = read.kinds @ asked.abilities
        shifts = read.kinds @ asked.by_kind + read.tasks @ asked.by_task
        quality = curve(read.figures[:, :2], abilities, shifts)
        logs = read.figures[:, 2, None] + read.figures[:, 3, None] * abilities
        quantiles = np.exp(logs[:, :, None] + (read.kinds @ self._scales.length_residuals)[:, None, :])
        told = np.isfinite(asked.output_tokens)
        if told.any():
            quantiles *= np.where(told, asked.output_tokens / self._typical_tokens, 1.0)[:, None]
        return Told(
            ModelPredictions(
                quality,
                mean_of_quantiles(quantiles),
                read.certainty[:, None] * asked.certainty,
                quantiles,
                read.kinds,
            ),
            tuple(KINDS[kind] for kind in read.kinds.argmax(axis=1)),
            read.certainty,
        )

    def _models(self, models: tuple[ModelInfo, ...]) -> _Models:
        held = self._sets.get(models)
        if held is not None:
            self._sets.move_to_end(models)
            return held
        known = tuple(map(self._population.known, models))
        abilities, measured = self._abilities(known), self._measured.of(known)
        by_kind = self._measured.by_kind(measured)
        shifts = [
            by_kind[:, at]
            if info.quality is None
            else self._shift(abilities[:, at], by_kind[:, at], info.quality)
            for at, info in enumerate(models)
        ]
        made = _Models(
            known,
            abilities,
            np.stack(shifts, axis=1),
            self._measured.within_kind(measured),
            np.array([each.certainty for each in known]),
            np.array([np.nan if info.output_tokens is None else info.output_tokens for info in models]),
        )
        self._sets[models] = made
        if len(self._sets) > MAX_SETS:
            self._sets.popitem(last=False)
        return made

    def _abilities(self, known: Sequence[Known]) -> FloatArray:
        """(K, M) in units of a prompt's steepness."""
        return np.asarray(self._scales.unit[:, None] * np.stack([each.abilities for each in known], axis=1))

    def _shift(self, abilities: FloatArray, measured: FloatArray, quality: float) -> FloatArray:
        """Log odds (K,) that bring a model's mean on each kind to what the operator says of it.

        How hard a kind is for everybody is taken as part of the operator's word, which speaks of the traffic
        as it is; what the model does better or worse than others of its level is kept.
        """
        own, middling = self._means(abilities, measured), self._means(np.zeros(len(KINDS)))
        relative = (own - own.mean()) - (middling - middling.mean())
        wanted = log_odds(np.array([min(max(quality, 0.02), 0.98)])) + relative
        low, high = np.full(len(KINDS), -_CURVE_LIMIT), np.full(len(KINDS), _CURVE_LIMIT)
        for _ in range(30):
            middle = (low + high) / 2
            less = self._means(abilities, middle) < wanted
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return np.asarray((low + high) / 2)

    def _means(self, abilities: FloatArray, shifts: FloatArray | float = 0.0) -> FloatArray:
        """Log odds (K,) of a model's mean quality on the typical prompts of each kind."""
        points = self._scales.reference
        each = curve(
            points.reshape(-1, 2),
            np.repeat(abilities, points.shape[1])[:, None],
            np.repeat(np.broadcast_to(shifts, len(KINDS)), points.shape[1])[:, None],
        )
        return log_odds(each.reshape(len(KINDS), -1).mean(axis=1))


def curve(figures: FloatArray, abilities: FloatArray, shifts: FloatArray | float = 0.0) -> FloatArray:
    """Quality (R, M) for levels and steepnesses (R, 2), abilities (R, M) and shifts of log odds (R, M)."""
    level = np.minimum(np.maximum(figures[:, :1], LEAST_LEVEL), 1.0 - LEAST_LEVEL)
    steepness = np.maximum(figures[:, 1:2], LEAST_STEEPNESS)
    odds = np.log(level / (1.0 - level)) + steepness * abilities + shifts
    return np.asarray(1.0 / (1.0 + np.exp(-np.minimum(np.maximum(odds, -_CURVE_LIMIT), _CURVE_LIMIT))))


def _share(odds: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def log_odds(share: FloatArray) -> FloatArray:
    """Log odds of shares, which are kept away from 0 and 1."""
    clipped = np.minimum(np.maximum(share, 1e-4), 1.0 - 1e-4)
    return np.asarray(np.log(clipped / (1.0 - clipped)))
