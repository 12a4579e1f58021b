"""The forms that models' names come in, made one: paths, vendors, dates, revisions, quantisation."""

from __future__ import annotations

import re

MAX_NAME = 256
"""Characters of a name that are looked at."""

_VENDORS = re.compile(
    r"^(?:(?:us|eu|apac|global|jp|au|ca|us-gov)\.)?(?:anthropic|meta|amazon|mistral|cohere|ai21|qwen|openai|google|"
    r"nvidia|microsoft|xai|databricks|nousresearch|moonshot|moonshotai|minimax|zai|writer|ibm)[.]"
)
_REVISION = re.compile(r"-v?\d+:\d+(?:k|:\d+k)?$")
_REWRITTEN = (
    (re.compile("_"), "-"),
    # Bedrock has a colon where others have a point in a version, and DeepSeek's name where it has vendors.
    (re.compile(r"(?<=claude-v)(\d):(\d)"), r"\1.\2"),
    (re.compile(r"-v0:(?=\d$)"), "-v0."),
    (re.compile(r"^(?:[a-z-]+\.)?deepseek\.v3-v1:0$"), "deepseek-v3.1"),
    (re.compile(r"^(?:[a-z-]+\.)?deepseek\."), "deepseek-"),
    (_VENDORS, ""),
    (_REVISION, ""),
    # Vertex AI has a revision and a date.
    (re.compile(r"-v\d+@(?=20\d{6})"), "@"),
    (re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)"), r"\1\2\3"),
    (re.compile(r"(?<!\d)(\d\d)-(20\d\d)(?!\d)"), r"\2\1"),
    (re.compile(r"(?<=-)(preview|exp)-(\d\d)-(\d\d)(?!\d)"), r"\1-\2\3"),
    # `llama31-8b`, `gpt-41-mini`: a version without its point.
    (
        re.compile(
            r"(?<![a-z])(gpt|llama|qwen|claude|gemini|phi|granite|grok)-?([1-5])(\d)(?![\dbk.])(?:-|(?=[a-z:@])|$)"
        ),
        r"\1-\2.\3-",
    ),
    (re.compile(r"(?<=deepseek)(?=[vr]\d)"), "-"),
    (re.compile(r"(?<=-r)(?=\d+b)"), "-"),
    # Qwen2.5VL, GLM-4.5V: with eyes.
    (re.compile(r"(?<=\d)vl?(?![a-z0-9])"), "-vl"),
    (re.compile(r"-\d{5}-of-\d{5}"), ""),
    (re.compile(r"(?<=\d)p(?=\d)"), "."),
    (re.compile(r"(?<![a-z])v(?=\d+\.\d)"), ""),
)
_HASH = re.compile(r"[0-9a-f]{16,}")
_TUNED = re.compile(r"(?:^|/)ft:([^:/]+)(?::|$)")
_QUANTISED = re.compile(
    r"(?<![a-z0-9])(?:(?:ud[-_])?i?q\d(?:[-_](?:k|[0-9]))?(?:[-_](?:xxs|xs|s|m|l|xl))?|awq|gptq|gguf|exl2|aqlm|hqq|bnb|mlx|marlin|"
    r"nvfp4|mxfp4|fp4|fp8|fp16|bf16|int4|int8|w\da\d+|[1-8]-?bit|quantized|quant|dynamic|autoround|qat)"
    r"(?![a-z0-9])"
)
_WORD = re.compile(
    r"\d+x\d+(?:\.\d+)?b(?![a-z])|[ae]?\d+(?:\.\d+)?b(?![a-z0-9])|\d{2,3}m(?![a-z0-9])|\d+[a-z]+|[a-z]\d+|[a-z]+|\d+"
)


def tuned_from(name: str) -> str | None:
    """The model that OpenAI's name of a fine-tuned one (`ft:MODEL:ORGANISATION:NAME:ID`) begins with."""
    found = _TUNED.search(name.strip().lower())
    return found[1] if found else None


def segments(name: str) -> list[str]:
    """The parts of a name or path in lower case, the last one first: the model's name, then its folders."""
    parts = [part for part in reversed(name.strip().lower()[-MAX_NAME:].split("/")) if part]
    # A snapshot of a hub's cache is a hash below the model's folder.
    return parts[1:] if len(parts) > 2 and _HASH.fullmatch(parts[0]) else parts or [""]


def plain(segment: str) -> str:
    """A segment without vendor and revision, with versions and dates in one form."""
    for pattern, instead in _REWRITTEN:
        segment = pattern.sub(instead, segment)
    return segment


def quantised(told: str) -> bool:
    """Whether a plain name says that the weights are of fewer bits."""
    return bool(_QUANTISED.search(told))


def words(told: str) -> list[str]:
    """Words, numbers and sizes of a plain name in their order, without its quantisation."""
    found: list[str] = _WORD.findall(_QUANTISED.sub(" ", told))
    return found
