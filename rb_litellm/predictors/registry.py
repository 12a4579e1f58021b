"""The source of predictions: a trained predictor for the models that it was taught, the default one for the
rest, priors without either.

Where a trained predictor has not shown its worth beside the default one, both speak, in the proportion that
training found, the default one moved to the answers of the training (`Predictor.share_of_default`,
`default_shifts`). Never raises and never returns
anything but finite figures: a predictor that fails costs quality, not the request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray, ModelPredictions, Prompt
from rb_litellm.predictors.ability_learning import AbilityLearning, corrected
from rb_litellm.predictors.default.predictor import DefaultPredictor
from rb_litellm.predictors.names import AmbiguousName, trained_name
from rb_litellm.predictors.priors import ModelInfo, prior_output_tokens, prior_quality
from rb_litellm.predictors.trained.model import LEVELS, Predictor, mean_below

__all__ = ["LEVELS", "ModelInfo", "PredictionSource"]

MAX_SETS = 256
"""Sets of models whose columns are cached; the least recently used is dropped."""

# Ratio of each quantile to the mean for a length nobody has measured: log-normal, sigma 0.8.
_PRIOR_SPREAD = np.exp(0.8 * np.array([-1.2816, -0.6745, 0.0, 0.6745, 1.2816]) - 0.32)


@dataclass(frozen=True, slots=True)
class _Columns:
    """How one set of M models is answered."""

    known: BoolArray
    """(M,) whether the predictor was trained on the model."""
    columns: IntArray | None
    """(M,) its column of the predictor, any where it does not know the model; None: all in their order."""
    taught_quality: BoolArray | None
    """(M,) whether it was taught the model's quality; None for all."""
    taught_lengths: BoolArray | None
    quality: FloatArray
    """(M,) priors."""
    output_tokens: FloatArray
    length_quantiles: FloatArray
    """(M, Q)"""
    of_default: FloatArray | None
    """(M,) share of the default predictor in the quality of each model; None where it is not asked."""
    asked: tuple[ModelInfo, ...]
    """(M,) the models as the default predictor is asked for them."""
    default_shifts: FloatArray | None
    """(M, K) what is added to its log odds; None for nothing."""
    names: tuple[str, ...]
    """(M,) what the models are called where users' grades of them are learned from."""

    @property
    def whole(self) -> bool:
        """Whether the trained predictor answers alone."""
        return self.taught_quality is None and self.taught_lengths is None and self.of_default is None

    def chosen(self, told: FloatArray, taught: BoolArray | None, prior: FloatArray | None) -> FloatArray:
        """The columns of M models out of (R, K, ...), with the prior for models without training data."""
        taken = told if self.columns is None else told.take(self.columns, axis=1)
        if taught is None or prior is None:
            return taken
        return np.where(taught if taken.ndim == 2 else taught[:, None], taken, prior)


def _unless_all(taught: BoolArray) -> BoolArray | None:
    return None if taught.all() else taught


def _by_priors(columns: _Columns, rows: int) -> ModelPredictions:
    shape = (rows, len(columns.quality))
    return ModelPredictions(
        np.broadcast_to(columns.quality, shape).copy(),
        np.broadcast_to(columns.output_tokens, shape).copy(),
        np.zeros(shape),
        np.broadcast_to(columns.length_quantiles, (*shape, len(LEVELS))).copy(),
    )


@dataclass(slots=True)
class _InUse:
    """A predictor and what was computed for it, replaced together so that a call never sees two versions."""

    predictor: Predictor | None
    sets: OrderedDict[tuple[ModelInfo, ...], _Columns] = field(default_factory=OrderedDict)
    latest: tuple[tuple[ModelInfo, ...], _Columns] | None = None
    """The set that was asked for last: nearly always it is asked for again, as the same object."""


class PredictionSource:
    """Predictions for the models of a proxy, by the predictor's names where a mapping says so."""

    def __init__(
        self,
        predictor: Predictor | None = None,
        mapping: Mapping[str, str] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        default: DefaultPredictor | None = None,
        learning: AbilityLearning | None = None,
    ) -> None:
        """`learning` corrects what the default predictor says by users' grades."""
        self._learning = learning
        self._mapping = dict(mapping or {})
        self._on_error = on_error
        self._default = default
        self._in_use = _InUse(predictor)

    @property
    def version(self) -> str | None:
        """Version of the predictor in use, the trained one before the default one; None without either."""
        predictor = self._in_use.predictor or self._default
        return predictor.version if predictor else None

    def replace(self, predictor: Predictor) -> None:
        """Predict by this predictor from the next call on; calls that have begun end with the old one.

        From any thread.
        """
        self._in_use = _InUse(predictor)

    def as_now(self) -> PredictionSource:
        """The same source, for good with the predictor of this moment, whose version it then tells."""
        its = PredictionSource.__new__(PredictionSource)
        its.__dict__.update(self.__dict__)  # Half of what `copy.copy` takes.
        return its

    def knows(self, info: ModelInfo) -> bool:
        """Whether the predictor was trained on this model."""
        return bool(self._columns(self._in_use, (info,)).known.any())

    def predict(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> ModelPredictions:
        """Quality, length (R, M) and its quantiles (R, M, Q): all finite, length capped by `max_tokens`."""
        in_use = self._in_use
        columns = self._columns(in_use, tuple(models))
        alone = in_use.predictor is not None and columns.whole
        others = None if alone else self._untrained(columns, prompts)
        told = self._trained(in_use.predictor, columns, prompts, others)
        if told is None:
            told = others or self._untrained(columns, prompts)
        if any(prompt.max_tokens is not None for prompt in prompts):
            caps = np.array([np.inf if p.max_tokens is None else float(p.max_tokens) for p in prompts])
            assert told.length_quantiles is not None
            shape = told.output_tokens.shape
            tokens = mean_below(
                told.length_quantiles, told.output_tokens, np.broadcast_to(caps[:, None], shape)
            )
            quantiles = np.minimum(told.length_quantiles, caps[:, None, None])
            told = replace(told, output_tokens=tokens, length_quantiles=quantiles)
        return told

    def _untrained(self, columns: _Columns, prompts: Sequence[Prompt]) -> ModelPredictions:
        return self._by_default(columns, prompts) or _by_priors(columns, len(prompts))

    def _by_default(self, columns: _Columns, prompts: Sequence[Prompt]) -> ModelPredictions | None:
        """What the default predictor says; None where it is not asked or says nothing."""
        if self._default is None or columns.of_default is None or not columns.asked:
            return None
        try:
            told = self._default.predict(prompts, columns.asked)
            if columns.default_shifts is not None and told.kinds is not None:
                moved = corrected(told.quality, told.kinds, columns.default_shifts)
                told = replace(told, quality=moved)
            return told if self._learning is None else self._learning.correct(told, columns.names)
        except Exception as error:  # noqa: BLE001 - whatever fails in there, the request is answered from priors
            if self._on_error is not None:
                self._on_error(error)
            return None

    def _trained(
        self,
        predictor: Predictor | None,
        columns: _Columns,
        prompts: Sequence[Prompt],
        others: ModelPredictions | None,
    ) -> ModelPredictions | None:
        """What the predictor says, with `others` wherever it was not taught; None where it says nothing."""
        if predictor is None or not columns.known.any():
            return None
        try:
            trained = predictor.predict(prompts)
            assert trained.length_quantiles is not None
            taught, lengths = columns.taught_quality, columns.taught_lengths
            if others is None:
                if columns.columns is None:
                    return trained
                return ModelPredictions(
                    columns.chosen(trained.quality, None, None),
                    columns.chosen(trained.output_tokens, None, None),
                    columns.chosen(trained.confidence, None, None),
                    columns.chosen(trained.length_quantiles, None, None),
                )
            quality = columns.chosen(trained.quality, taught, others.quality)
            if columns.of_default is not None:
                quality = quality + columns.of_default * (others.quality - quality)
            return ModelPredictions(
                quality,
                columns.chosen(trained.output_tokens, lengths, others.output_tokens),
                columns.chosen(trained.confidence, taught, others.confidence),
                columns.chosen(trained.length_quantiles, lengths, others.length_quantiles),
                others.kinds,
                others.uncorrected_quality,
            )
        except Exception as error:  # noqa: BLE001 - whatever fails in there, the request is answered without it
            if self._on_error is not None:
                self._on_error(error)
            return None

    def _columns(self, in_use: _InUse, models: tuple[ModelInfo, ...]) -> _Columns:
        latest = in_use.latest
        if latest is None or latest[0] is not models:
            latest = in_use.latest = models, self._found(in_use, models)
        return latest[1]

    def _found(self, in_use: _InUse, models: tuple[ModelInfo, ...]) -> _Columns:
        sets, predictor = in_use.sets, in_use.predictor
        columns = sets.get(models)
        if columns is not None:
            sets.move_to_end(models)
            return columns
        names = {name: i for i, name in enumerate(predictor.models)} if predictor else {}
        known = predictor.known if predictor else ()
        of = np.array([self._find(names, info) for info in models], dtype=np.int64)
        tokens = np.array([prior_output_tokens(info, known) for info in models], dtype=np.float64)
        made = _Columns(
            known=of >= 0,
            columns=None if len(of) == len(names) and (of == np.arange(len(of))).all() else np.maximum(of, 0),
            taught_quality=_unless_all((of >= 0) & predictor.taught_quality[of]) if predictor else None,
            taught_lengths=_unless_all((of >= 0) & predictor.taught_lengths[of]) if predictor else None,
            quality=np.array([prior_quality(info, known) for info in models], dtype=np.float64),
            output_tokens=tokens,
            length_quantiles=tokens[:, None] * _PRIOR_SPREAD,
            **self._of_default(predictor, models, of),
            names=tuple(info.name for info in models),
        )
        sets[models] = made
        if len(sets) > MAX_SETS:
            sets.popitem(last=False)
        return made

    def _of_default(
        self, predictor: Predictor | None, models: tuple[ModelInfo, ...], of: IntArray
    ) -> dict[str, Any]:
        """The default predictor's part of `_Columns`, for models in the columns `of` of the trained one."""
        nothing = {"of_default": None, "asked": models, "default_shifts": None}
        if self._default is None:
            return nothing
        if predictor is None:
            return {**nothing, "of_default": np.ones(len(models))}
        told = [predictor.known[column].quality if column >= 0 else None for column in of]
        taught = np.array([mean is not None for mean in told])
        shares = np.where(taught, predictor.share_of_default[of], 1.0)
        whole = (of >= 0) & predictor.taught_lengths[of]
        if whole.all() and not shares.any():
            return nothing
        beside = taught & (shares > 0.0)
        moved = self._default.scale_of(
            [(info, mean) for info, mean in zip(models, told, strict=True) if mean is not None]
        )
        asked = []
        for info, mean, column, shared in zip(models, told, of, beside, strict=True):
            if shared:
                # As it was asked when share and shifts were found: by the name in the training data.
                name = predictor.models[column]
                asked.append(ModelInfo(name, name, output_tokens=info.output_tokens))
            else:
                asked.append(replace(info, quality=mean if mean is not None else info.quality or moved(info)))
        return {
            "of_default": shares,
            "asked": tuple(asked),
            "default_shifts": np.where(beside[:, None], predictor.default_shifts[of], 0.0),
        }

    def _find(self, names: Mapping[str, int], info: ModelInfo) -> int:
        try:
            found = trained_name(info.names, names, self._mapping)
        except AmbiguousName as error:
            # Settings are checked before; models that come later are told of, and have priors.
            if self._on_error is not None:
                self._on_error(error)
            found = None
        return -1 if found is None else names[found]
