"""The way through all trees, node after node: in compiled code, sooner than answering every question once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float32]
# Numbers without a sign: those with one may count from an array's end, which is looked at every time.
_ZERO, _ONE = np.uint64(0), np.uint64(1)


def evaluate_trees(
    rows: _Floats,
    output: npt.NDArray[np.uint32],
    feature: npt.NDArray[np.uint32],
    threshold: _Floats,
    leaves: _Floats,
    sums: _Floats,
) -> None:
    """Add the leaves that R rows (R, F) end in to `sums` (R, K).

    Trees are complete and of one depth: N nodes of a tree stand level by level, `feature` and `threshold`
    (T, N), its leaves behind each other (T, N + 1); its sum is that of `output` (T,). A row goes right where
    its feature is not below the threshold.
    """
    trees, nodes = np.uint64(feature.shape[0]), np.uint64(feature.shape[1])
    count = np.uint64(rows.shape[0])
    for tree in range(trees):
        column = output[tree]
        for row in range(count):
            node = _ZERO
            while node < nodes:
                right = rows[row, feature[tree, node]] >= threshold[tree, node]
                node = node + node + _ONE + np.uint64(right)
            sums[row, column] += leaves[tree, node - nodes]
