"""Boosted trees of all partitions by XGBoost's Dask interface: workers add up their histograms.

What is learned stands in the labels: XGBoost hands those of a worker's own prompts to the functions that it
calls there, and a label that nobody gave is UNKNOWN, as XGBoost refuses NaN. Labels have 32 bits on this way,
where `fitting.boosting` has 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from rb_litellm.core.types import BoolArray, FloatArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.spread.work import SpreadError, reason
from rb_litellm.train.data.dataset import DataError
from rb_litellm.train.fitting.boosting import PATIENCE, ROUNDS, Trees
from rb_litellm.train.fitting.targets import Targets
from rb_litellm.train.partitioned.partition import rows_of
from rb_litellm.train.partitioned.partitions import Partitions

if TYPE_CHECKING:
    from distributed import Future

UNKNOWN = np.float32(-1e30)


@dataclass(frozen=True)
class _Learned:
    """What XGBoost calls on each worker, with the prompts of that worker."""

    trees: Trees
    prior: FloatArray
    """(K,)"""

    def objective(self, raw: Floats, data: xgboost.DMatrix) -> tuple[FloatArray, FloatArray]:
        """Gradient and curvature."""
        targets, known = _read(data)
        return self.trees.pull(raw.reshape(targets.shape) + self.prior, targets, known)

    def loss(self, raw: Floats, data: xgboost.DMatrix) -> tuple[str, float]:
        """Of the prompts of all workers, the same on each."""
        targets, known = _read(data)
        sums = self.trees.loss_sums(raw.reshape(targets.shape) + self.prior, targets, known)
        return "loss", self.trees.mean_loss(xgboost.collective.allreduce(sums, xgboost.collective.Op.SUM))


def _read(data: xgboost.DMatrix) -> tuple[FloatArray, FloatArray]:
    labels = data.get_label().reshape(data.num_row(), -1)
    known = labels != UNKNOWN
    return np.where(known, labels, 0.0).astype(np.float64), known.astype(np.float64)


class ForestOfPartitions:
    """Fits trees to features that workers keep."""

    def __init__(
        self, partitions: Partitions, features: Sequence[Future], targets: Targets, trees: Trees
    ) -> None:
        """`features` are those of each partition, (P, F)."""
        try:
            from xgboost import dask
        except ImportError as error:
            raise SpreadError(
                f"--partitioned needs XGBoost's Dask interface ({error}); install it with: "
                "pip install 'rb_litellm[partitioned]'"
            ) from None
        self._dask = dask
        self._partitions = partitions
        self._features = features
        self._labels = np.where(targets.every_known, targets.every, UNKNOWN).astype(np.float32)
        self._learned = _Learned(trees, trees.prior(targets.every))
        self._width = int(targets.every.shape[1])

    def boost(
        self, rows: BoolArray, stop_on: BoolArray | None = None, rounds: int = ROUNDS
    ) -> tuple[xgboost.Booster, int]:
        """As `fitting.boosting.boost`, rows as masks (P,).

        Raises:
            DataError: a partition has none of the rows.
            SpreadError: a worker failed.
        """
        settings = self._learned.trees.settings(self._width)
        told: dict[str, Any] = {"num_boost_round": rounds, "obj": self._learned.objective}
        if stop_on is not None:
            told |= {
                "custom_metric": self._learned.loss,
                "evals": [(self._matrix(stop_on), "unseen")],
                "early_stopping_rounds": PATIENCE,
                "verbose_eval": False,
            }
        try:
            booster = self._dask.train(self._partitions.client, settings, self._matrix(rows), **told)[
                "booster"
            ]
        except (xgboost.core.XGBoostError, OSError, RuntimeError) as error:
            self._partitions.check()
            raise SpreadError(f"XGBoost on the cluster: {reason(error)}") from None
        return booster, rounds if stop_on is None else booster.best_iteration + 1

    def _matrix(self, mask: BoolArray) -> Any:
        """Some prompts for XGBoost; they stay on their workers."""
        rows = self._partitions.some(mask)
        if not all(part.size for part in rows.chosen):
            raise DataError("a worker's files hold too few prompts; give fewer, larger files")
        features = self._partitions.on(rows_of, self._features, rows.chosen)
        labels = self._partitions.on(np.asarray, rows.split(self._labels))
        return self._dask.DaskDMatrix(self._partitions.client, self._array(features), self._array(labels))

    def _array(self, parts: Sequence[Future]) -> Any:
        import dask.array
        from dask import delayed

        shapes = self._partitions.gather(self._partitions.on(np.shape, parts))
        return dask.array.concatenate(
            [
                dask.array.from_delayed(delayed(part), shape, np.float32)
                for part, shape in zip(parts, shapes, strict=True)
            ]
        )
