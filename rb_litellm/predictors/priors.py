"""Priors of models without training data.

In this order: what the operator configured; else a curve over the model's capability (its size, by
name or by price), shifted to the scale of the models that are known, near relatives counting most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rb_litellm.predictors.names import provider_name

DEFAULT_OUTPUT_TOKENS = 250.0
DEFAULT_BILLIONS = 14.0
"""What a model is taken for whose name, price and context window say nothing: a medium one, such as people
serve under names of their own. Models of whom much is published are larger."""
RELATIVE_WEIGHT = 6.0
"""A known model of the same family counts as this many others."""
FULL_SHIFT_AT = 1.0
"""Known models needed for half of the shift to their scale."""

_MIXTURE = re.compile(r"(?<![\d.])(\d+)x(\d+(?:\.\d+)?)b(?![a-z])")
_SIZE = re.compile(r"(?<![\d.a-z])e?(\d+(?:\.\d+)?)b(?![a-z])")
_MILLIONS = re.compile(r"(?<![\d.a-z])(\d{2,3})m(?![a-z0-9])")
_FAMILY = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model without asking a predictor."""

    key: str
    """Model group of the proxy."""
    model: str
    """LiteLLM's model name, provider included."""
    quality: float | None = None
    output_tokens: float | None = None
    usd_per_million_tokens: float | None = None
    context_window: int | None = None
    base_model: str | None = None
    """Which model a deployment with a name of its own serves (LiteLLM's `base_model`)."""
    like: str | None = None
    """The model that the operator has it taken for."""
    effort: str = ""
    """The level of reasoning effort that it is asked for; each is a model of its own, so learned apart."""

    @property
    def name(self) -> str:
        """What it is called: LiteLLM's name, or else its group's; `NAME@LEVEL` at a level of effort."""
        name = self.model or self.key
        return f"{name}@{self.effort}" if self.effort else name

    @property
    def names(self) -> tuple[str, ...]:
        """By which a predictor may know it, the provider's name for it last."""
        own = self.key, self.model, provider_name(self.model)
        return tuple(f"{name}@{self.effort}" for name in own if name) if self.effort else own


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the training data, by its means."""

    name: str
    quality: float | None
    output_tokens: float | None


def size_billions(name: str) -> float | None:
    """Parameters in billions as a name says (`qwen2.5-7b`: 7, `mixtral-8x7b`: 56, `gemma-3-270m`: 0.27)."""
    name = name.lower()
    if mixture := _MIXTURE.search(name):
        return float(mixture[1]) * float(mixture[2])
    sizes = [float(size) for size in _SIZE.findall(name)]
    sizes = sizes or [float(size) / 1000.0 for size in _MILLIONS.findall(name)]
    return max(sizes) if sizes and max(sizes) > 0 else None


def billions_by_price(price: float | None) -> float | None:
    """Parameters in billions that a price in USD per million tokens speaks of; None without one."""
    # List prices of open models: 0.06 for 3B, 0.2 for 8B, 0.9 for 70B.
    return min(max(60.0 * math.pow(price, 1.1), 0.5), 1000.0) if price and price > 0.0 else None


def usual_billions(context_window: int | None) -> float:
    """Parameters in billions of a medium model with this context window in tokens, if it is known."""
    if not context_window:
        return DEFAULT_BILLIONS
    return DEFAULT_BILLIONS * math.sqrt(min(max(context_window / 32_768, 0.5), 8.0))


def prior_quality(info: ModelInfo, known: Sequence[KnownModel] = ()) -> float:
    """Expected mean quality of a model, in [0, 1]."""
    if info.quality is not None:
        return min(max(info.quality, 0.0), 1.0)
    billions = (
        size_billions(info.model)
        or size_billions(info.key)
        or billions_by_price(info.usd_per_million_tokens)
        or usual_billions(info.context_window)
    )
    shift = _shift(
        info, [(k.name, k.quality - _curve(size_billions(k.name))) for k in known if k.quality is not None]
    )
    return min(max(_curve(billions) + shift, 0.02), 0.98)


def prior_output_tokens(info: ModelInfo, known: Sequence[KnownModel] = ()) -> float:
    """Expected mean answer length of a model, in tokens, at least 1."""
    if info.output_tokens is not None:
        return max(info.output_tokens, 1.0)
    logs = [(k.name, math.log(max(k.output_tokens, 1.0))) for k in known if k.output_tokens is not None]
    if not logs:
        return DEFAULT_OUTPUT_TOKENS
    base = math.log(DEFAULT_OUTPUT_TOKENS)
    return math.exp(base + _shift(info, [(name, value - base) for name, value in logs]))


def _curve(billions: float | None) -> float:
    # About 0.12 per doubling among small models, flattening: the spread that open benchmarks show.
    return min(0.30 + 0.25 * math.log10(1.0 + (billions or DEFAULT_BILLIONS)), 0.92)


def _shift(info: ModelInfo, residuals: Sequence[tuple[str, float]]) -> float:
    family = _family(info.model)
    weights = [RELATIVE_WEIGHT if family and _family(name) == family else 1.0 for name, _ in residuals]
    if not weights:
        return 0.0
    total = sum(weight * value for weight, (_, value) in zip(weights, residuals, strict=True))
    return total / (sum(weights) + FULL_SHIFT_AT)


def _family(name: str) -> str:
    match = _FAMILY.search(name.lower().rsplit("/", 1)[-1])
    return match[0] if match else ""
