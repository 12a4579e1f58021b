"""A trained predictor: a folder of plain data, checked whole when it is loaded.

    manifest.json   format version, SHA-256 of every other file
    model.json      model names, means, versions
    booster.ubj     XGBoost: one output per model for quality, one for the logarithm of the length

No file holds code: nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from rb_litellm.core.types import FloatArray, ModelPredictions, Prompt
from rb_litellm.predictors.features import FEATURES, featurise
from rb_litellm.predictors.forest import evaluator
from rb_litellm.predictors.priors import KnownModel

FORMAT = 1
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantile levels of `ModelPredictions.length_quantiles`."""


class PredictorError(ValueError):
    """A predictor folder that cannot be used; says which setting, its value and what is allowed."""


class Predictor:
    """Quality and output length of the models it was trained on."""

    def __init__(self, meta: dict[str, Any], booster: xgboost.Booster, version: str) -> None:
        self.models: tuple[str, ...] = tuple(meta["models"])
        self.version = version
        self.known = tuple(
            KnownModel(name, quality, length)
            for name, quality, length in zip(
                self.models, meta["mean_quality"], meta["mean_output_tokens"], strict=True
            )
        )
        self._evaluate = evaluator(booster)
        outputs = self._evaluate(np.zeros((1, FEATURES), dtype=np.float32)).shape[1]
        if outputs != 2 * len(self.models):
            raise ValueError(f"{outputs} outputs for {len(self.models)} models")
        self._has_quality = np.array([q is not None for q in meta["mean_quality"]])
        self._has_length = np.array([q is not None for q in meta["mean_output_tokens"]])
        self._residuals = np.array(meta["length_residuals"], dtype=np.float64).reshape(
            len(self.models), len(LEVELS)
        )

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Read and check a folder written by `routebalance train`.

        Raises:
            PredictorError: missing, incomplete, altered, or of another format version.
        """
        folder = Path(path)
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise _unusable(
                    path,
                    f"has format {manifest['format']!r}, this version reads format {FORMAT}; train it again",
                )
            for name, digest in manifest["files"].items():
                if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                    raise _unusable(path, f"{name} is not what was written (checksum differs)")
            meta = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(folder / "booster.ubj")
            if booster.num_features() != FEATURES:
                raise _unusable(
                    path,
                    f"was trained on {booster.num_features()} features, here are {FEATURES}; train it again",
                )
            return cls(meta, booster, hashlib.sha256(json.dumps(manifest).encode()).hexdigest()[:12])
        except PredictorError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, xgboost.core.XGBoostError) as error:
            raise _unusable(path, f"cannot be read ({type(error).__name__}: {error})") from None

    def predict(self, prompts: Sequence[Prompt]) -> ModelPredictions:
        """Quality (R, M), output tokens (R, M) and their quantiles (R, M, Q), not capped; NaN: untaught."""
        count = len(self.models)
        raw = self._evaluate(featurise(prompts)).astype(np.float64)
        quality: FloatArray = np.where(self._has_quality, np.clip(raw[:, :count], 0.0, 1.0), np.nan)
        quantiles = np.exp(raw[:, count:, None] + self._residuals)
        quantiles = np.where(self._has_length[:, None], quantiles, np.nan)
        return ModelPredictions(quality, mean_of_quantiles(quantiles), np.ones_like(quality), quantiles)


def mean_of_quantiles(quantiles: FloatArray) -> FloatArray:
    """Mean of a distribution (..., Q) given at LEVELS: each quantile stands for its share of the mass."""
    result: FloatArray = quantiles @ np.array([0.175, 0.2, 0.25, 0.2, 0.175])
    return result


def _unusable(path: str | Path, why: str) -> PredictorError:
    return PredictorError(
        f"predictor.path: {str(path)!r} {why}; allowed is a folder written by `routebalance train`"
    )
