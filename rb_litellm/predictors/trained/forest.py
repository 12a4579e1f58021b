"""Trained trees as flat arrays, for the few rows of a decision.

XGBoost's own prediction is made for many rows: for one row and some hundreds of trees its time goes
into waiting for memory, node after node. Here no node is visited. Trees that are not deep ask few different
questions, many of them often: every question is answered once for every row, and the way through all trees
is then computed from the answers by a few operations on whole arrays of bits. Several times faster than
XGBoost for one row or thirty. The arithmetic is XGBoost's (32-bit comparisons and sums) but for the order of
summation, so figures agree to about one part in a million. That is checked when a predictor is written, and
when XGBoost has to read it.

A proxy does not import XGBoost, which takes 26 MB, but for a file that only XGBoost can read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rb_litellm.core.compiled.in_use import IN_USE, Loops

if TYPE_CHECKING:
    import xgboost

MAX_DEPTH = 5
"""Deeper trees have too many nodes to answer them all: they are left to XGBoost."""
MAX_LEAVES = 1 << 22
"""Of all trees together, each laid out as a complete one."""
_BLOCK = 64
"""Rows that are taken at once; more would leave the processor's cache."""
_PROBES = 64
_TOLERANCE = 1e-3

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Bits = npt.NDArray[np.bool_]
Evaluate = Callable[[Floats], Floats]
"""Features (R, F), none of them NaN, to outputs (R, K)."""
_OF_TREE = ("left_children", "right_children", "split_indices", "split_conditions")


class Unsupported(ValueError):
    """The booster holds something other than plain trees of one output each."""


def evaluator(content: bytes, learner: Mapping[str, Any] | None) -> tuple[Evaluate, int]:
    """What evaluates a booster's file, and its number of features F.

    `learner` is the file's, as `read_booster` reads it. XGBoost is needed where there is none, or trees that
    cannot be laid out.
    """
    if learner is not None:
        try:
            return Forest(learner).predict, int(learner["learner_model_param"]["num_feature"])
        except Unsupported:
            pass
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(content))
    return checked_evaluator(booster), booster.num_features()


def checked_evaluator(booster: xgboost.Booster) -> Evaluate:
    """A Forest where that is possible and gives XGBoost's figures on probes, else XGBoost itself."""
    try:
        forest = Forest.of_booster(booster)
        if agrees(forest.predict, booster):
            return forest.predict
    except (Unsupported, LookupError, TypeError, ValueError):  # another layout of another XGBoost
        pass
    return partial(_by_xgboost, booster)


def agrees(evaluate: Evaluate, booster: xgboost.Booster) -> bool:
    """Whether it gives XGBoost's figures on values that the trees compare with."""
    probes = _probes(booster)
    expected, found = _by_xgboost(booster, probes), evaluate(probes)
    return found.shape == expected.shape and np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE)


def _probes(booster: xgboost.Booster) -> Floats:
    """(P, F) values of the booster's own conditions, so that many paths are taken."""
    trees = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
    pool = np.unique([0.0, *(value for tree in trees for value in tree["split_conditions"])])
    chosen: Floats = (
        np.random.default_rng(0).choice(pool, (_PROBES, booster.num_features())).astype(np.float32)
    )
    return chosen


def _by_xgboost(booster: xgboost.Booster, rows: Floats) -> Floats:
    raw = booster.inplace_predict(rows, validate_features=False)
    return np.asarray(raw, dtype=np.float32).reshape(len(rows), -1)


class Forest:
    """The trees of a booster with K outputs."""

    _nodes: tuple[npt.NDArray[Any], ...] | None = None
    """What `forest_loops` read, once it is asked for."""

    def __init__(self, learner: Mapping[str, Any]) -> None:
        """Lay out the trees of a booster's `learner`, as its file has it.

        Raises:
            Unsupported: categorical splits, several outputs per tree, weighted trees, a link function, very
                deep trees.
        """
        kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
        if kind != "gbtree" or objective != "reg:squarederror":
            raise Unsupported(f"{kind} for {objective}")
        model = learner["gradient_booster"]["model"]
        # In XGBoost 3.4.1, DART's trees are those of a gbtree with weights.
        if any(weight != 1.0 for weight in model.get("weight_drop", ())):
            raise Unsupported("weighted trees")
        outputs = np.array(model["tree_info"], dtype=np.intp)
        for tree in model["trees"]:
            if any(tree["split_type"]) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
                raise Unsupported("categorical splits or several outputs per tree")
        trees = [{name: np.asarray(tree[name]).tolist() for name in _OF_TREE} for tree in model["trees"]]
        depth = max(map(_depth, trees), default=0)
        if depth > MAX_DEPTH:
            raise Unsupported(f"trees of depth {depth}")
        self._base = _base_scores(learner["learner_model_param"])
        if len(trees) << depth > MAX_LEAVES:
            raise Unsupported(f"{len(trees)} trees of depth {depth}")
        # Trees of one output stand together, so that their leaves are summed as one run.
        order = np.argsort(outputs, kind="stable")
        self._runs: Indices = np.searchsorted(outputs[order], np.arange(self._base.size)).astype(np.intp)
        if np.any(np.diff([*self._runs, len(trees)]) == 0):
            raise Unsupported("an output without trees")
        # Every tree as a complete one: node i of a level has the nodes 2i and 2i + 1 of the next one below
        # it. Where a tree ends early, its comparisons fail, and the leftmost leaf holds its value.
        asked = np.zeros(((1 << depth) - 1, len(trees)), dtype=[("feature", np.intp), ("at", np.float32)])
        asked["at"] = np.inf
        leaves: Floats = np.zeros((len(trees), 1 << depth), dtype=np.float32)
        for column, tree in enumerate(order.tolist()):
            for level, place, node in _nodes(trees[tree]):
                value = trees[tree]["split_conditions"][node]
                if trees[tree]["left_children"][node] < 0:
                    leaves[column, place << (depth - level)] = value
                else:
                    asked[(1 << level) - 1 + place, column] = trees[tree]["split_indices"][node], value
        self._leaves = leaves.ravel()
        self._first_leaves: Indices = np.arange(0, leaves.size, 1 << depth, dtype=np.intp)[:, None]
        questions, self._question = np.unique(asked.ravel(), return_inverse=True)
        self._feature: Indices = np.ascontiguousarray(questions["feature"])
        self._threshold: Floats = np.ascontiguousarray(questions["at"])[:, None]
        self._depth = depth

    @classmethod
    def of_booster(cls, booster: xgboost.Booster) -> Forest:
        """The trees of a booster; raises as `Forest` does."""
        return cls(json.loads(bytes(booster.save_raw("json")))["learner"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of it as plain arrays, for `of_arrays`."""
        return {
            "base": self._base,
            "runs": self._runs.astype(np.int32),
            "leaves": self._leaves.reshape(-1, 1 << self._depth),
            "feature": self._feature.astype(np.int32),
            "threshold": self._threshold[:, 0],
            "question": self._question.astype(np.int32),
        }

    @classmethod
    def of_arrays(cls, told: Mapping[str, npt.NDArray[Any]]) -> Forest:
        """The opposite of `arrays`.

        Raises:
            Unsupported: the arrays do not belong together.
        """
        forest = cls.__new__(cls)
        leaves = np.asarray(told["leaves"], dtype=np.float32)
        trees, width = leaves.shape
        forest._depth = width.bit_length() - 1
        forest._base = np.asarray(told["base"], dtype=np.float32)
        forest._runs = np.asarray(told["runs"], dtype=np.intp)
        forest._leaves = np.ascontiguousarray(leaves).ravel()
        forest._first_leaves = np.arange(0, leaves.size, width, dtype=np.intp)[:, None]
        forest._feature = np.asarray(told["feature"], dtype=np.intp)
        forest._threshold = np.asarray(told["threshold"], dtype=np.float32)[:, None]
        forest._question = np.asarray(told["question"], dtype=np.intp)
        asked = len(forest._feature)
        if (
            width != 1 << forest._depth
            or forest._question.shape != ((width - 1) * trees,)
            or len(forest._threshold) != asked
            or len(forest._runs) != len(forest._base)
            or not 0 <= forest._question.min(initial=0) <= forest._question.max(initial=0) < asked
            or not 0 <= forest._runs.min(initial=0) <= forest._runs.max(initial=0) < trees
            or np.any(np.diff(forest._runs) <= 0)
        ):
            raise Unsupported("arrays that do not belong together")
        return forest

    def predict(self, rows: Floats) -> Floats:
        """Outputs (R, K) for features (R, F); no feature may be NaN, which XGBoost takes for missing."""
        return IN_USE.either(lambda loops: self.by_loops(loops, rows), lambda: self.by_numpy(rows))

    def by_loops(self, loops: Loops, rows: Floats) -> Floats:
        """`predict` by compiled loops: the sums of a row are the same whatever rows stand beside it."""
        if self._nodes is None:
            self._nodes = self._by_tree()
        sums = np.repeat(self._base[None, :], len(rows), axis=0)
        loops.evaluate_trees(np.ascontiguousarray(rows, dtype=np.float32), *self._nodes, sums)
        return sums

    def _by_tree(self) -> tuple[npt.NDArray[Any], ...]:
        """Output (T,) of each tree, feature and threshold (T, N) of its nodes, and its leaves (T, N + 1)."""
        trees, width = len(self._first_leaves), 1 << self._depth
        question = self._question.reshape(width - 1, trees).T
        return (
            np.repeat(np.arange(len(self._runs)), np.diff([*self._runs, trees])).astype(np.uint32),
            np.ascontiguousarray(self._feature.take(question), dtype=np.uint32),
            np.ascontiguousarray(self._threshold[:, 0].take(question)),
            self._leaves.reshape(trees, width),
        )

    def by_numpy(self, rows: Floats) -> Floats:
        """`predict` where there are none."""
        if len(rows) > _BLOCK:
            blocks = range(0, len(rows), _BLOCK)
            return np.concatenate([self.by_numpy(rows[first : first + _BLOCK]) for first in blocks])
        answers = rows.T.take(self._feature, axis=0) >= self._threshold
        # All trees' nodes, level by level: (2^depth - 1, T, R).
        goes_right = answers.take(self._question, axis=0).reshape(-1, len(self._first_leaves), len(rows))
        leaf = np.zeros(goes_right.shape[1:], dtype=np.uint8)
        way: list[Bits] = []
        for level in range(self._depth):
            nodes = goes_right[(1 << level) - 1 : (2 << level) - 1]
            for right in way:
                half = len(nodes) // 2
                # The second half where it went right: a choice by bits is several times faster than np.where.
                nodes = nodes[:half] ^ (right & (nodes[:half] ^ nodes[half:]))
            way.append(nodes[0])
            leaf += leaf
            leaf += nodes[0]
        sums: Floats = np.add.reduceat(self._leaves.take(self._first_leaves + leaf), self._runs, axis=0).T
        return sums + self._base


def _nodes(tree: dict[str, Any]) -> Iterator[tuple[int, int, int]]:
    """Level, place in the level of a complete tree, and number of each node, the root first."""
    nodes = [(0, 0, 0)]
    for level, place, node in nodes:
        yield level, place, node
        if tree["left_children"][node] >= 0:
            nodes.append((level + 1, 2 * place, tree["left_children"][node]))
            nodes.append((level + 1, 2 * place + 1, tree["right_children"][node]))


def _depth(tree: dict[str, Any]) -> int:
    return max(level for level, _, _ in _nodes(tree))


def _base_scores(parameters: dict[str, str]) -> Floats:
    """One per output; older releases of XGBoost write a single number that stands for all."""
    given = np.atleast_1d(np.array(json.loads(parameters["base_score"]), dtype=np.float32))
    scores: Floats = np.broadcast_to(given, (max(int(parameters["num_target"]), 1),)).copy()
    return scores
