"""A booster's file, read without XGBoost: it takes long to import, and ends the process over some files.

The file is UBJSON (https://ubjson.org), as XGBoost writes it: nested objects, strings, numbers, and arrays of
one type. What is checked is what whoever evaluates it relies on: that lengths are within the file, and that
the nodes of each tree lead to nodes of that tree.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np

MAX_DEPTH = 16
_NUMBERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_WHOLE = "iUIlL"
_CONSTANTS = {"Z": None, "T": True, "F": False}


class BoosterError(ValueError):
    """A file that is no booster."""


def read_booster(content: bytes) -> dict[str, Any] | None:
    """The learner of plain trees that the file holds; None where XGBoost has to read it.

    So it is with a layout that is not known in full, as of another release of XGBoost. That is tried in a
    process of its own.

    Raises:
        BoosterError: it is not what XGBoost writes, or XGBoost does not survive it.
    """
    reader = _Reader(content)
    told = reader.value(reader.marker(), 0)
    if reader.at != len(content):
        raise BoosterError("something follows the booster")
    if not isinstance(told, dict) or not isinstance(told.get("learner"), dict):
        raise BoosterError("it is no booster")
    try:
        known = _is_known(told)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        known = False
    if not known and not _survives(content):
        raise BoosterError("XGBoost cannot read it")
    return told["learner"] if known else None


def _survives(content: bytes) -> bool:
    tried = subprocess.run(
        [sys.executable, "-c", _TRIAL], input=content, capture_output=True, timeout=_PATIENCE_S, check=False
    )
    return tried.returncode == 0


_PATIENCE_S = 60.0
_TRIAL = """
import sys, numpy, xgboost
booster = xgboost.Booster({"nthread": 1})
booster.load_model(bytearray(sys.stdin.buffer.read()))
for seed in range(8):
    rows = numpy.random.default_rng(seed).normal(0, 10, (64, booster.num_features())).astype(numpy.float32)
    booster.inplace_predict(rows, validate_features=False)
booster.save_raw("json")
"""
_LEARNER = {
    "attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param", "objective",
}  # fmt: skip
_PARAMETERS = {"base_score", "boost_from_average", "num_class", "num_feature", "num_target"}
_MODEL = {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"}
_WHOLES = ("left_children", "right_children", "parents", "split_indices")
_FIGURES = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
_FLAGS = ("default_left", "split_type")
_EMPTY = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_TREE = {*_WHOLES, *_FIGURES, *_FLAGS, *_EMPTY, "id", "tree_param"}
_NO_PARENT = 2**31 - 1
_MOST = 10**6


def _is_known(told: dict[str, Any]) -> bool:
    """Whether this is a booster of plain trees as XGBoost 3 lays it out, consistent in all of it."""
    learner = told["learner"]
    if set(told) != {"learner", "version"} or set(learner) != _LEARNER:
        return False
    parameters, model = learner["learner_model_param"], learner["gradient_booster"]["model"]
    if (
        set(parameters) != _PARAMETERS
        or set(model) != _MODEL
        or set(learner["gradient_booster"]) != {"model", "name"}
    ):
        return False
    features, targets = _whole(parameters["num_feature"]), _whole(parameters["num_target"])
    scores = json.loads(parameters["base_score"])
    trees, groups, steps = model["trees"], model["tree_info"], model["iteration_indptr"]
    plain = (
        all(isinstance(n, int) and 0 <= n < 1000 for n in told["version"])
        and len(told["version"]) == 3
        and learner["attributes"] == {}
        and learner["feature_names"] == learner["feature_types"] == []
        and learner["gradient_booster"]["name"] == "gbtree"
        and learner["objective"] == {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
        and _whole(parameters["num_class"]) == 0
        and parameters["boost_from_average"] in ("0", "1")
        and isinstance(scores, list)
        and len(scores) == targets
        and all(isinstance(score, float) and abs(score) < 1e30 for score in scores)
        and model["gbtree_model_param"] == {"num_parallel_tree": "1", "num_trees": str(len(trees))}
        and set(model["cats"]) == {"enc", "feature_segments", "sorted_idx"}
        and all(len(each) == 0 for each in model["cats"].values())
        and len(groups) == len(trees)
        and all(isinstance(group, int) and 0 <= group < targets for group in groups)
        and all(isinstance(step, int) for step in steps)
        and steps[0] == 0
        and steps[-1] == len(trees)
        and all(one <= next_ for one, next_ in pairwise(steps))
    )
    return plain and all(_is_tree(tree, number, features) for number, tree in enumerate(trees))


def _is_tree(tree: dict[str, Any], number: int, features: int) -> bool:
    told = tree["tree_param"]
    nodes = _whole(told["num_nodes"])
    own = np.arange(nodes)
    if set(tree) != _TREE or tree["id"] != number or nodes < 1:
        return False
    if told != {
        "num_deleted": "0",
        "num_feature": str(features),
        "num_nodes": str(nodes),
        "size_leaf_vector": "1",
    }:
        return False
    arrays = [tree[name] for name in (*_WHOLES, *_FIGURES, *_FLAGS)]
    if any(not isinstance(each, np.ndarray) or each.shape != (nodes,) for each in arrays):
        return False
    if any(not isinstance(tree[name], np.ndarray) or tree[name].size for name in _EMPTY):
        return False
    kinds = {"i": _WHOLES, "f": _FIGURES, "u": _FLAGS}
    if any(tree[name].dtype.kind != kind for kind, names in kinds.items() for name in names):
        return False
    left, right, parents, asked = (tree[name] for name in _WHOLES)
    leaf = left == -1
    # Children stand behind their node, so no way leads in a circle.
    inner = (left > own) & (right > own) & (left < nodes) & (right < nodes) & (left != right)
    has_parent = own > 0
    return bool(
        np.all((leaf & (right == -1)) | (~leaf & inner))
        and np.all(np.where(has_parent, (parents >= 0) & (parents < own), parents == _NO_PARENT))
        and np.all((asked >= 0) & (asked < features))
        and all(np.isfinite(tree[name]).all() for name in _FIGURES)
        and np.all(tree["split_type"] == 0)
        and np.all(tree["default_left"] <= 1)
    )


def _whole(text: str) -> int:
    number = int(text)
    if str(number) != text or not 0 <= number <= _MOST:
        raise ValueError(text)
    return number


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def marker(self) -> str:
        return chr(self._take(1)[0])

    def value(self, marker: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise BoosterError("it is nested too deeply")
        if marker in _NUMBERS:
            return self._number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in "SC":
            size = 1 if marker == "C" else self._length()
            return self._take(size).decode("utf-8", "replace")
        if marker == "{":
            return self._object(depth)
        if marker == "[":
            return self._array(depth)
        raise BoosterError("it is no UBJSON")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (marker := self.marker()) != "}":
            size = self._length(marker)
            name = self._take(size).decode("utf-8", "replace")
            if name in found:
                raise BoosterError("it names something twice")
            found[name] = self.value(self.marker(), depth + 1)
        return found

    def _array(self, depth: int) -> Any:
        marker = self.marker()
        if marker == "$":
            kind = self.marker()
            if self.marker() != "#" or kind not in _NUMBERS:
                raise BoosterError("it is no UBJSON")
            code = _NUMBERS[kind]
            count = self._length()
            return np.frombuffer(self._take(count * struct.calcsize(code)), dtype=code)
        if marker == "#":
            # It ends with the file at the latest, whatever is claimed.
            return [self.value(self.marker(), depth + 1) for _ in range(self._length())]
        found: list[Any] = []
        while marker != "]":
            found.append(self.value(marker, depth + 1))
            marker = self.marker()
        return found

    def _length(self, marker: str | None = None) -> int:
        marker = self.marker() if marker is None else marker
        if marker not in _WHOLE:
            raise BoosterError("it is no UBJSON")
        return int(self._number(marker))

    def _number(self, marker: str) -> Any:
        code = _NUMBERS[marker]
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._content) - self.at:
            raise BoosterError("it ends too soon")
        self.at += size
        return self._content[self.at - size : self.at]
