"""Where the decision gets its predictions: a trained predictor where there is one, priors for the rest.

Never raises and never returns anything but finite figures: a predictor that fails costs quality, not
the request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray, ModelPredictions, Prompt
from rb_litellm.predictors.model import LEVELS, Predictor, mean_below
from rb_litellm.predictors.priors import ModelInfo, prior_output_tokens, prior_quality

__all__ = ["LEVELS", "ModelInfo", "PredictionSource"]

MAX_SETS = 256
"""Sets of models whose columns are kept; the least recently used is worked out anew."""

# Ratio of each quantile to the mean for a length nobody has measured: log-normal, sigma 0.8.
_PRIOR_SPREAD = np.exp(0.8 * np.array([-1.2816, -0.6745, 0.0, 0.6745, 1.2816]) - 0.32)


@dataclass(frozen=True, slots=True)
class _Columns:
    """How one set of M models is answered."""

    columns: IntArray
    """(M,) column of the predictor, -1 for models it does not know."""
    known: IntArray
    quality: FloatArray
    """(M,) priors."""
    output_tokens: FloatArray


@dataclass(frozen=True, slots=True)
class _InUse:
    """A predictor and what was worked out for it: replaced together, so that a call never sees two."""

    predictor: Predictor | None
    sets: OrderedDict[tuple[ModelInfo, ...], _Columns] = field(default_factory=OrderedDict)


class PredictionSource:
    """Predictions for the models of a proxy, by the predictor's names where a mapping says so."""

    def __init__(
        self,
        predictor: Predictor | None = None,
        mapping: Mapping[str, str] | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self._mapping = dict(mapping or {})
        self._on_error = on_error
        self._in_use = _InUse(predictor)

    @property
    def version(self) -> str | None:
        """Version of the predictor in use, None without one."""
        predictor = self._in_use.predictor
        return predictor.version if predictor else None

    def replace(self, predictor: Predictor) -> None:
        """Predict by this predictor from the next call on; calls that have begun end with the old one.

        From any thread.
        """
        self._in_use = _InUse(predictor)

    def as_now(self) -> PredictionSource:
        """The same source, for good with the predictor of this moment, whose version it then tells."""
        return copy(self)

    def knows(self, info: ModelInfo) -> bool:
        """Whether the predictor was trained on this model."""
        return bool(self._columns(self._in_use, (info,)).known.size)

    def predict(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> ModelPredictions:
        """Quality, length (R, M) and its quantiles (R, M, Q): all finite, length capped by `max_tokens`."""
        in_use = self._in_use
        columns = self._columns(in_use, tuple(models))
        shape = (len(prompts), len(columns.quality))
        quality = np.broadcast_to(columns.quality, shape).copy()
        tokens = np.broadcast_to(columns.output_tokens, shape).copy()
        quantiles = tokens[:, :, None] * _PRIOR_SPREAD
        confidence = np.zeros(shape)
        if in_use.predictor is not None and columns.known.size:
            try:
                trained = in_use.predictor.predict(prompts)
                self._fill(columns, trained, quality, tokens, quantiles, confidence)
            except Exception as error:  # noqa: BLE001 - whatever fails in there, the request is answered from priors
                if self._on_error is not None:
                    self._on_error(error)
        caps = np.array([np.inf if p.max_tokens is None else float(p.max_tokens) for p in prompts])
        if np.isfinite(caps).any():
            tokens = mean_below(quantiles, tokens, np.broadcast_to(caps[:, None], shape))
            quantiles = np.minimum(quantiles, caps[:, None, None])
        return ModelPredictions(quality, tokens, confidence, quantiles)

    @staticmethod
    def _fill(
        columns: _Columns,
        trained: ModelPredictions,
        quality: FloatArray,
        tokens: FloatArray,
        quantiles: FloatArray,
        confidence: FloatArray,
    ) -> None:
        at, of = columns.known, columns.columns[columns.known]
        assert trained.length_quantiles is not None
        new_quality, new_tokens = trained.quality[:, of], trained.output_tokens[:, of]
        new_quantiles, new_confidence = trained.length_quantiles[:, of], trained.confidence[:, of]
        has_quality = np.isfinite(new_quality)
        has_length = np.isfinite(new_tokens)
        # Stay with the prior wherever the predictor was not taught.
        quality[:, at] = np.where(has_quality, new_quality, quality[:, at])
        tokens[:, at] = np.where(has_length, new_tokens, tokens[:, at])
        quantiles[:, at] = np.where(has_length[:, :, None], new_quantiles, quantiles[:, at])
        confidence[:, at] = np.where(has_quality, new_confidence, 0.0)

    def _columns(self, in_use: _InUse, models: tuple[ModelInfo, ...]) -> _Columns:
        sets, predictor = in_use.sets, in_use.predictor
        columns = sets.get(models)
        if columns is not None:
            sets.move_to_end(models)
            return columns
        names = {name: i for i, name in enumerate(predictor.models)} if predictor else {}
        known = predictor.known if predictor else ()
        of = [self._find(names, info) for info in models]
        made = _Columns(
            columns=np.array(of, dtype=np.int64),
            known=np.flatnonzero(np.array(of, dtype=np.int64) >= 0),
            quality=np.array([prior_quality(info, known) for info in models], dtype=np.float64),
            output_tokens=np.array([prior_output_tokens(info, known) for info in models], dtype=np.float64),
        )
        sets[models] = made
        if len(sets) > MAX_SETS:
            sets.popitem(last=False)
        return made

    def _find(self, names: Mapping[str, int], info: ModelInfo) -> int:
        for name in (info.key, info.model):
            mapped = self._mapping.get(name)
            if mapped is not None:
                return names.get(mapped, -1)
        for name in (info.key, info.model, info.model.split("/", 1)[-1]):
            if name in names:
                return names[name]
        return -1
