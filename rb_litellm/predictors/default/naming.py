"""Which model of the table a name means, however it is written: with provider, vendor, date, quantisation.

A name is taken apart into words and numbers. An entry fits where all its own words stand in the name; of
several the most specific one is taken. What is left over says how sure that is: nothing, or words that
change nothing (`instruct`, a quantisation), a date, another version, or a derived model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rb_litellm.predictors.default.table import Entry, entries

MAX_NAME = 256
"""Characters of a name that are looked at."""

How = Literal["name", "quantised", "dated", "derived", "version", "unknown"]
CERTAINTY: dict[How, float] = {
    "name": 1.0,
    "quantised": 0.95,
    "dated": 0.9,
    "derived": 0.6,
    "version": 0.5,
    "unknown": 0.0,
}
_VENDORS = re.compile(
    r"^(?:(?:us|eu|apac|global|jp|au)\.)?(?:anthropic|meta|amazon|mistral|cohere|ai21|deepseek|qwen|openai|google|"
    r"nvidia|microsoft|xai|databricks|nousresearch)[.]"
)
_REVISION = re.compile(r"(?:-v\d+)?:\d+(?:k|:\d+k)?$")
_DATE = re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)")
_QUANTISED = re.compile(
    r"(?<![a-z0-9])(?:(?:ud[-_])?i?q\d(?:[-_](?:k|[0-9]))?(?:[-_](?:xxs|xs|s|m|l|xl))?|awq|gptq|gguf|exl2|bnb|mlx|marlin|"
    r"nvfp4|mxfp4|fp4|fp8|fp16|bf16|int4|int8|w\da\d+|[348]bit|[348]-bit|quantized|quant|dynamic|autoround)"
    r"(?![a-z0-9])"
)
_POINT = re.compile(r"(?<=\d)p(?=\d)")
_VERSION = re.compile(r"(?<![a-z])v(?=\d+\.\d)")
_WORD = re.compile(
    r"\d+x\d+(?:\.\d+)?b(?![a-z])|[ae]?\d+(?:\.\d+)?b(?![a-z0-9])|\d+[a-z]+|[a-z]\d+|[a-z]+|\d+"
)
_SIZE = re.compile(r"(?:\d+x)?[ae]?\d+(?:\.\d+)?b$")


def _words(text: str) -> list[str]:
    return text.split()


_OPTIONAL = frozenset({"instruct", "chat", "it", "hf", "inst", "instruction"})
"""Words of an entry that a name may leave out."""
_NOISE = _OPTIONAL | frozenset(
    _words(
        "meta latest free instant versatile online maas databricks sft dpo text the beta stable default "
        "model exp turbo lora v1 amazon api tuned hosted 32k 16k 8k 128k 4k 1m 200k fast vision together "
        "togetherai sambanova hyperbolic fireworks groq unsloth multimodal high low nvidia openai "
        "anthropic google"
    )
)
"""Words of a name that change little of what a model can do."""
_VARIANTS = frozenset(
    _words(
        "mini nano micro lite flash pro ultra super coder code math distill large small medium max plus "
        "thinking reasoning vl omni audio embedding embed base haiku sonnet opus rerank guard tts image "
        "tiny next scout maverick moe"
    )
)
"""Words that make another model of it."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name was taken for."""

    entry: Entry | None
    certainty: float
    """From 0, nothing known, to 1."""
    how: How


@lru_cache(maxsize=4096)
def resolve(name: str) -> Resolved:
    """The entry of the table that `name` means, how sure that is, and what it rests on."""
    plain = _plain(name)
    quantised = bool(_QUANTISED.search(plain))
    words: Counter[str] = Counter(_WORD.findall(_QUANTISED.sub(" ", plain)))
    best: tuple[tuple[int, bool, int, int], Entry, How] | None = None
    for at, (own, entry) in enumerate(_table()):
        if not own <= words:
            continue
        left = words - own
        how = _how(own, frozenset(left), quantised)
        if how == "unknown":
            continue
        # The most specific one; among equals the one that leaves least over, then the earlier one.
        rank = (own.total(), CERTAINTY[how] >= 0.9, -left.total(), -at)
        if best is None or rank > best[0]:
            best = rank, entry, how
    if best is None:
        return Resolved(None, 0.0, "unknown")
    return Resolved(best[1], CERTAINTY[best[2]], best[2])


def family(name: str) -> str:
    """The first word of a name that is no provider and no noise, such as `qwen` or `claude`."""
    words: list[str] = _WORD.findall(_QUANTISED.sub(" ", _plain(name)))
    for word in words:
        if word.isalpha() and len(word) > 1 and word not in _NOISE:
            return word
    return ""


def _plain(name: str) -> str:
    """The model's own name in lower case: without provider, vendor, revision."""
    told = name.strip().lower()[-MAX_NAME:].rsplit("/", 1)[-1]
    if "." in told:
        told = _VENDORS.sub("", told)
    told = _REVISION.sub("", told) if re.search(r"-v\d+:\d", told) else told
    told = _DATE.sub(r"\1\2\3", told)
    return _VERSION.sub("", _POINT.sub(".", told)).replace("_", "-")


@lru_cache(maxsize=1)
def _table() -> Sequence[tuple[Counter[str], Entry]]:
    """Each entry once per name, with the words that a name must hold."""
    return [
        (Counter(word for word in _WORD.findall(_plain(name)) if word not in _OPTIONAL), entry)
        for entry in entries()
        for name in (entry.name, *entry.aliases)
    ]


def _how(own: Counter[str], left: frozenset[str], quantised: bool) -> How:
    left = left - _NOISE
    if left & _VARIANTS or any(_SIZE.match(word) for word in left if not word.startswith("a")):
        return "unknown"
    numbers = {word for word in left if word.isdigit()}
    if any(len(number) < 3 for number in numbers) or any(re.match(r"[a-z]\d+$", word) for word in left):
        return "version"
    if left - numbers:
        # A family's name alone says nothing of what was made of it.
        return "derived" if len(own) > 1 else "unknown"
    if numbers:
        return "dated"
    return "quantised" if quantised else "name"
