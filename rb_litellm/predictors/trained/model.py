"""A trained predictor: a folder of plain data, checked whole when it is loaded.

    manifest.json   format version, SHA-256 of every other file
    model.json      model names, means, the shrinkage of each output
    encoder.npz     what each n-gram says, as plain arrays
    booster.ubj     XGBoost: scores of the kind of prompt, then one output per model for quality and length
    card.json       what it was trained on and how well it does; not read here

No file holds code: nothing is unpickled. Sizes are bounded before anything is read (see `folder_files`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray, ModelPredictions, Prompt
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.priors import KnownModel
from rb_litellm.predictors.reading.encoder import Encoder
from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.predictors.trained.booster_file import read_booster
from rb_litellm.predictors.trained.folder_files import FolderError, check_arrays, read_files, read_manifest
from rb_litellm.predictors.trained.forest import Evaluate, evaluator

FORMAT = 6
CARD = "card.json"
PROMPTS = "prompts.txt"
"""Ids of the prompts that a predictor has seen, so that nobody judges it by them."""
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantile levels of `ModelPredictions.length_quantiles`."""
_SHARES = np.array([0.175, 0.2, 0.25, 0.2, 0.175])
"""Of the mass, that each of LEVELS stands for."""


class PredictorError(ValueError):
    """A predictor folder that cannot be used; says which setting, its value and what is allowed."""


class Predictor:
    """Quality and output length of the models it was trained on."""

    def __init__(self, meta: dict[str, Any], encoder: Encoder, evaluate: Evaluate, version: str) -> None:
        self.models: tuple[str, ...] = tuple(meta["models"])
        self.version = version
        self.known = tuple(
            KnownModel(name, quality, length)
            for name, quality, length in zip(
                self.models, meta["mean_quality"], meta["mean_output_tokens"], strict=True
            )
        )
        self.length_constants: FloatArray = _matrix(meta["length_quantiles"], len(self.models))
        """(M, Q) quantiles of each model's lengths in the training data, NaN without any."""
        self._evaluate = evaluate
        self._encoder = encoder
        self._blend = Blend.from_json(meta["blend"])
        self._outputs: IntArray = np.array(meta["outputs"], dtype=np.int64)
        """(O,) what is told: the models' qualities are outputs 0..M-1, their lengths M..2M-1."""
        given = self._evaluate(np.zeros((1, encoder.width), dtype=np.float32)).shape[1]
        told = len(self._blend.log_prior) + len(self._outputs)
        if given != told or len(self._blend.offset) != len(self._outputs):
            raise ValueError(f"{given} outputs, described as {told}")
        self._confidence: FloatArray = np.array(meta["confidence"], dtype=np.float64)
        # Lengths are spread alike around what is told of a prompt: by factors.
        self._spread: FloatArray = np.exp(_matrix(meta["length_residuals"], len(self.models)))
        """(M, Q) from the length that is told to the quantiles,"""
        self._mean: FloatArray = mean_of_quantiles(self._spread) * np.array(
            meta["length_mean_factor"], dtype=np.float64
        )
        """(M,) and to the mean."""
        self.share_of_default: FloatArray = np.array(
            meta.get("share_of_default", np.zeros(len(self.models))), dtype=np.float64
        )
        """(M,) how much of a model's quality the default predictor is to say beside this one."""
        if self.share_of_default.shape != (len(self.models),):
            raise ValueError(f"{len(self.share_of_default)} shares for {len(self.models)} models")
        self.default_shifts = _default_shifts(meta.get("default_shifts", {}), len(self.models))
        """(M, K) log odds that are added to what the default predictor says of a model's prompts."""
        self._tells_all = np.array_equal(self._outputs, np.arange(2 * len(self.models)))
        told_of = np.isin(np.arange(2 * len(self.models)), self._outputs)
        self.taught_quality: BoolArray = told_of[: len(self.models)]
        """(M,) models of which answers were graded; of others qualities are NaN."""
        self.taught_lengths: BoolArray = told_of[len(self.models) :]

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Read and check a folder written by `routebalance train`.

        Raises:
            PredictorError: missing, incomplete, altered, or of another format version.
        """
        folder = Path(path)
        try:
            manifest = read_manifest(folder)
            if manifest["format"] != FORMAT:
                raise _unusable(
                    path,
                    f"has format {str(manifest['format'])[:32]!r}, this version reads format {FORMAT}; "
                    "train it again",
                )
            files = read_files(folder, manifest["files"], ("model.json", "encoder.npz", "booster.ubj"))
            meta = json.loads(files["model.json"])
            booster = files["booster.ubj"]
            evaluate, features = evaluator(booster, read_booster(booster))
            check_arrays(files["encoder.npz"])
            encoder = Encoder.from_bytes(files["encoder.npz"])
            if features != encoder.width:
                raise _unusable(
                    path, f"was trained on {features} features, here are {encoder.width}; train it again"
                )
            # The card holds the time that training took; the same trees are the same version.
            told_by = sorted((name, digest) for name, digest in manifest["files"].items() if name != CARD)
            return cls(meta, encoder, evaluate, hashlib.sha256(json.dumps(told_by).encode()).hexdigest()[:12])
        except PredictorError:
            raise
        except FolderError as error:
            raise _unusable(path, str(error)) from None
        except Exception as error:  # noqa: BLE001  whatever stands in a folder makes one kind of error
            told = f"{type(error).__name__}: {error}"[:300]
            raise _unusable(path, f"cannot be read ({told})") from None

    def predict(self, prompts: Sequence[Prompt]) -> ModelPredictions:
        """Quality (R, M), output tokens (R, M) and their quantiles (R, M, Q), not capped; NaN: untaught."""
        count = len(self.models)
        features, familiarity = self._encoder.encode(prompts)
        told = self._blend.told(self._evaluate(features), familiarity)
        if told is None:
            raise ValueError("the trees give no finite figures")
        outputs = told
        if not self._tells_all:
            outputs = np.full((len(prompts), 2 * count), np.nan)
            outputs[:, self._outputs] = told
        # np.clip takes longer than both bounds, for one row.
        quality: FloatArray = np.minimum(np.maximum(outputs[:, :count], 0.0), 1.0)
        lengths = np.exp(outputs[:, count:])
        quantiles: FloatArray = lengths[:, :, None] * self._spread
        confidence: FloatArray = familiarity[:, None] * self._confidence
        return ModelPredictions(quality, lengths * self._mean, confidence, quantiles)


def mean_of_quantiles(quantiles: FloatArray) -> FloatArray:
    """Mean of a distribution (..., Q) given at LEVELS."""
    result: FloatArray = quantiles @ _SHARES
    return result


def mean_below(quantiles: FloatArray, mean: FloatArray, caps: FloatArray) -> FloatArray:
    """Mean of min(X, cap) for a distribution X given at LEVELS, (..., Q), and caps (...), inf for none.

    The quantile function is taken as straight between LEVELS and flat beyond them, which is what
    `mean_of_quantiles` integrates; X is scaled to have the `mean` (...), for quantiles say little of the
    longest answers. The mean of what is cut off at the cap is less than the mean cut off at the cap.
    """
    scale = mean / np.maximum(mean_of_quantiles(quantiles), 1e-9)
    at, cap = quantiles * scale[..., None], caps[..., None]
    low, high = at[..., :-1], at[..., 1:]
    # Share of each stretch between two levels that is under the cap.
    under = np.clip((cap - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    capped_high = np.minimum(high, cap)
    stretches = under * (np.minimum(low, cap) + capped_high) / 2 + (1 - under) * capped_high
    ends = LEVELS[0] * np.minimum(at[..., 0], caps) + (1 - LEVELS[-1]) * np.minimum(at[..., -1], caps)
    result: FloatArray = ends + stretches @ np.diff(LEVELS)
    return np.minimum(np.minimum(result, mean), caps)


def _default_shifts(told: Mapping[str, Sequence[float]], models: int) -> FloatArray:
    shifts = np.stack(
        [np.array(told.get(kind, np.zeros(models)), dtype=np.float64) for kind in KINDS], axis=-1
    )
    if shifts.shape != (models, len(KINDS)) or not np.isfinite(shifts).all():
        raise ValueError(f"default_shifts: allowed are {models} finite figures for each kind")
    return shifts


def _matrix(rows: Sequence[Sequence[float | None]], count: int) -> FloatArray:
    """Figures at LEVELS of `count` models, (count, Q); None becomes NaN."""
    return np.array(rows, dtype=np.float64).reshape(count, len(LEVELS))


def _unusable(path: str | Path, why: str) -> PredictorError:
    return PredictorError(
        f"predictor.path: {str(path)!r} {why}; allowed is a folder written by `routebalance train`"
    )
