"""What a model can do, by kind of task, from whatever is known of it.

Measurements of models go together: who does well in one benchmark does well in others, large and recent
models most of all. So a model is a point of a normal distribution over size, month of release and benchmarks,
whose mean and covariance were found from the table by expectation maximisation (missing values are missing
at random). What is not known of a model is its conditional mean given what is; a model that is in no table
has its size (by name, else by price) and its relatives. Of whom nothing is known is no middling model of the
table: that holds those of which much is published, the closed ones of large makers among them, and these are
known by their names. It is taken for a medium one by size, as priors take it, and what is not known of it
stays as wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.default.naming import How, family, predecessors, resolve
from rb_litellm.predictors.default.table import FACTS, Entry, entries
from rb_litellm.predictors.priors import ModelInfo, billions_by_price, size_billions, usual_billions

KINDS = ("knowledge", "mathematics", "code", "chat", "instructions", "tools", "long_context")
"""Kinds of task that abilities are told of."""
MEASURED: Mapping[str, tuple[str, ...]] = {
    "knowledge": ("mmlu", "mmlu_pro", "gpqa", "mmlu_zeroeval"),
    "mathematics": ("gsm8k", "math", "gsm8k_zeroeval"),
    "code": ("humaneval",),
    "chat": ("arena",),
    "instructions": ("ifeval", "arena"),
    "tools": ("tools", "ifeval"),
    # No benchmark of long contexts is in the table: what all others have in common.
    "long_context": ("mmlu", "math", "humaneval", "ifeval", "arena"),
}
"""The benchmarks that speak of a kind."""
AXES = ("size", "released", *FACTS)
"""Dimensions of the population: log of billions of parameters, years since 2024, log odds of benchmarks."""
NOISE = 0.04
"""Variance of a published measurement: another prompt, another harness, another day."""
_RELATIVE_SIZES = 1.0
"""Relatives count less by this much of a difference in log size."""
_TODAY = 1.5
"""Year that a model is taken to be of, in years since 2024, where nobody says."""

CERTAINTY_BY: Mapping[str, float] = {"family and size": 0.5, "size": 0.35, "price": 0.25, "context": 0.15}


@dataclass(frozen=True, slots=True)
class Known:
    """What a model was taken for."""

    name: str | None
    """Its entry in the table, or the one that it derives from; None without any."""
    certainty: float
    how: str
    """`name`, `quantised`, `dated`, `derived`, `version`, or what else it was guessed by."""
    abilities: FloatArray
    """(K,) by kind, in standard deviations of the table's models."""
    spread: FloatArray
    """(K,) standard deviation of what is not known of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Models as a normal distribution over AXES."""

    mean: FloatArray
    """(A,)"""
    covariance: FloatArray
    """(A, A)"""

    def given(self, known: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean (A,) and covariance (A, A) of a model of which `known` (A,) is known, NaN for what is not."""
        told = np.isfinite(known)
        noise = np.where(np.arange(len(known)) < 2, 1e-6, NOISE)[told]
        gain = self.covariance[:, told] @ np.linalg.inv(self.covariance[np.ix_(told, told)] + np.diag(noise))
        mean = self.mean + gain @ (known[told] - self.mean[told])
        return mean, self.covariance - gain @ self.covariance[told, :]

    def _weights(self) -> FloatArray:
        """(K, A) from a model's deviation from the mean to its abilities."""
        weights = np.zeros((len(KINDS), len(AXES)))
        for row, kind in enumerate(KINDS):
            for fact in MEASURED[kind]:
                at = AXES.index(fact)
                weights[row, at] = 1.0 / (len(MEASURED[kind]) * math.sqrt(self.covariance[at, at]))
        return weights

    def known(self, info: ModelInfo) -> Known:
        """Abilities of a model by the best that is known of it."""
        for name in (info.like, info.base_model, info.model, info.key):
            found = resolve(name) if name else None
            if found is not None and found.entry is not None:
                how = f"like {found.entry.name}" if name == info.like else found.how
                return self._told(found.entry, found.certainty, how)
        return self._guessed(info)

    def _told(self, entry: Entry, certainty: float, how: How | str) -> Known:
        return self._known(axes(entry), entry.name, certainty, how)

    def _guessed(self, info: ModelInfo) -> Known:
        name = info.model if family(info.model) else info.key
        own = family(name)
        size = size_billions(info.model) or size_billions(info.key)
        if size:
            how = "size"
        elif size := billions_by_price(info.usd_per_million_tokens):
            how = "price"
        elif info.context_window:
            how = "context"
        else:
            how = "unknown"
        known = np.full(len(AXES), np.nan)
        if size:
            known[0] = math.log(size)
        known[1] = _TODAY if how != "unknown" and (info.context_window or 0) >= 65_536 else np.nan
        relatives = [entry for entry in entries() if own and family(entry.name) == own and entry.billions]
        if how == "size" and relatives:
            return self._related(known, relatives, predecessors(name, size or 0.0))
        told = self._known(known, None, CERTAINTY_BY.get(how, 0.05), how)
        if size:
            return told
        # The mean of the table would be one of the models that everybody knows by name, half of them larger.
        known[0] = math.log(usual_billions(info.context_window))
        return replace(told, abilities=self._known(known, None, told.certainty, how).abilities)

    def _related(self, known: FloatArray, relatives: list[Entry], before: list[Entry]) -> Known:
        """By size, moved by how far relatives of about this size are from what their size says; no lesser
        than those `before` it."""
        mean, _ = self.given(known)
        moved, total = np.zeros(len(AXES)), 1.0
        for entry in relatives:
            told = axes(entry)
            alone = np.full(len(AXES), np.nan)
            alone[0] = told[0]
            weight = math.exp(-abs(told[0] - known[0]) / _RELATIVE_SIZES)
            moved += weight * (self.given(told)[0] - self.given(alone)[0])
            total += weight
        plain = self._known(known, None, CERTAINTY_BY["family and size"], "family and size")
        weights = self._weights()
        abilities = weights @ (mean + moved / total - self.mean)
        for entry in before:
            abilities = np.maximum(abilities, weights @ (self.given(axes(entry))[0] - self.mean))
        return Known(None, plain.certainty, plain.how, abilities, 0.8 * plain.spread)

    def _known(self, known: FloatArray, name: str | None, certainty: float, how: str) -> Known:
        mean, covariance = self.given(known)
        weights = self._weights()
        spread = np.sqrt(np.maximum(np.einsum("ka,ab,kb->k", weights, covariance, weights), 0.0))
        return Known(name, certainty, how, weights @ (mean - self.mean), spread)


def axes(entry: Entry) -> FloatArray:
    """What the table says of a model, (A,), NaN for what it does not."""
    told = np.full(len(AXES), np.nan)
    if entry.billions:
        told[0] = math.log(entry.billions)
    told[1] = entry.released
    for fact, value in entry.facts.items():
        told[AXES.index(fact)] = value
    return told
