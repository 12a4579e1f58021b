"""Parts of a configuration that are another kind of value than LiteLLM takes there.

A dash too many makes a list of a mapping, one too few the reverse. LiteLLM ends on most of such files without
naming the place; what else is wrong with the file can be told all the same. So it does on entries without a
name or a model and on names that YAML takes for numbers. Others it leaves out with a line in its log, such as
entries with prices that are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

from packaging.version import Version

from rb_litellm.excerpt import excerpt
from rb_litellm.litellm_adapter.hosts.choose import FIRST_RUST
from rb_litellm.litellm_adapter.hosts.settings.entries import refused

_Ends = Literal["always", "before 1.110", "never"]
"""Which releases end on it at their start, as 1.108.7 and 1.110.2 did; the others pass it over."""


class Misshapen(NamedTuple):
    """One place of a configuration."""

    told: str
    """Where it is, what it holds and what is allowed."""
    ends: bool
    """Whether the installed release of LiteLLM ends on it."""


class _Shape(NamedTuple):
    allowed: Literal["mapping", "list"]
    parts: Mapping[str, _Shape] = {}
    """Of a mapping by name; of a list, what each of its items is stands under _EACH."""
    ends: _Ends = "always"


_EACH = "*"
_SECRET = re.compile("key|secret|token|password|credential|sk-|environment_variables|general_settings")
"""What of names and values tells that a value may not be shown."""
PRICES = ("input_cost_per_token", "output_cost_per_token")
_MAPPING = _Shape("mapping")
_FALLBACKS = _Shape("list", {_EACH: _MAPPING}, ends="before 1.110")
_CONFIGURATION = _Shape(
    "mapping",
    {
        "model_list": _Shape(
            "list",
            {
                _EACH: _Shape(
                    "mapping",
                    {"litellm_params": _MAPPING, "model_info": _Shape("mapping", ends="before 1.110")},
                )
            },
        ),
        "credential_list": _Shape("list", {_EACH: _MAPPING}),
        "litellm_settings": _Shape("mapping", {"cache_params": _Shape("mapping", ends="never")}),
        "router_settings": _Shape(
            "mapping",
            {
                "model_group_alias": _Shape("mapping", ends="before 1.110"),
                "optional_pre_call_checks": _Shape("list", ends="never"),
                "fallbacks": _FALLBACKS,
                "context_window_fallbacks": _FALLBACKS,
                "content_policy_fallbacks": _FALLBACKS,
            },
            ends="never",
        ),
        "general_settings": _MAPPING,
        "environment_variables": _MAPPING,
    },
)
"""Routing groups are looked at where their rules are."""


def shaped(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[Misshapen]]:
    """The configuration without its misshapen parts, and what is told of each of these."""
    found: list[Misshapen] = []
    kept: dict[str, Any] = _shaped(content, _CONFIGURATION, "", found)
    given, entries = content.get("model_list"), kept.get("model_list")
    if isinstance(given, list) and entries:
        for number, (before, entry) in enumerate(zip(given, entries, strict=True)):
            found += _lacking(f"model_list.{number}", before, entry)
    credentials = content.get("credential_list")
    for number, one in enumerate(credentials if isinstance(credentials, list) else ()):
        if one is None:
            found.append(_misshapen(f"credential_list.{number}: is empty; allowed is a mapping", "always"))
    return kept, found


def _misshapen(told: str, ends: _Ends) -> Misshapen:
    return Misshapen(told, ends == "always" or (ends == "before 1.110" and _before_rust()))


@cache
def _before_rust() -> bool:
    return Version(version("litellm")) < FIRST_RUST


def _lacking(where: str, given: object, entry: Mapping[str, Any]) -> Iterator[Misshapen]:
    """What an entry of `model_list` needs and has not, or has and LiteLLM cannot take."""
    if given is None:
        yield _misshapen(f"{where}: is empty; allowed is a mapping", "always")
    if not isinstance(given, Mapping):
        return
    needed: list[tuple[str, object, _Ends]] = [
        ("model_name", entry.get("model_name"), "before 1.110" if "model_name" in given else "always")
    ]
    params = entry.get("litellm_params") or {}
    if given.get("litellm_params") is None:
        told = "is empty" if "litellm_params" in given else "missing, and needed"
        yield _misshapen(f"{where}.litellm_params: {told}; allowed is a mapping with a model", "always")
    elif isinstance(given["litellm_params"], Mapping):  # else that is told already
        model = params.get("model")
        needed.append(
            ("litellm_params.model", model, "before 1.110" if isinstance(model, list) else "always")
        )
    for name, value, ends in needed:
        if value is None:
            yield _misshapen(f"{where}.{name}: missing, and needed", ends)
        elif not isinstance(value, str):
            allowed = f"a text, such as '{value}' in quotes" if isinstance(value, (int, float)) else "a text"
            yield _misshapen(f"{where}.{name}: holds {excerpt(value)}; allowed is {allowed}", ends)
    if "model_info" in given and given["model_info"] in (None, [], ""):
        told = f"{where}.model_info: is empty; allowed is a mapping, or nothing at all"
        if (empty := _misshapen(told, "before 1.110")).ends:
            yield empty
    for name in PRICES:
        if isinstance(price := params.get(name), str) and not _is_number(price):
            told = f"{where}.litellm_params.{name}: holds {excerpt(price)}; allowed is a number, 0 for free"
            yield _misshapen(told, "never")
    yield from _left_out(where, entry)


def _left_out(where: str, entry: Mapping[str, Any]) -> Iterator[Misshapen]:
    """Values for which LiteLLM says one line in its log, and serves without the deployment."""
    for section, name, value, said in refused(entry):
        if name == "model" or (name in PRICES and isinstance(value, str)):
            continue  # told above
        held = _held(name, value)
        told = f"{where}.{section}.{name}: holds {held}; LiteLLM leaves the entry out ({said})"
        yield _misshapen(told, "never")


def _held(name: str, value: object) -> str:
    """What stands under the name, as it may be shown."""
    return f"a value of type {type(value).__name__}" if _SECRET.search(f"{name} {value}") else excerpt(value)


def _is_number(text: str) -> bool:
    if text.startswith("os.environ/"):
        return True  # told of where it is not set
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shaped(value: Any, shape: _Shape, where: str, found: list[Misshapen]) -> Any:
    if shape.allowed == "mapping" and isinstance(value, Mapping):
        return {
            name: _shaped(part, its, f"{where}.{name}".lstrip("."), found)
            if part is not None and (its := shape.parts.get(name)) is not None
            else part
            for name, part in value.items()
        }
    if shape.allowed == "list" and isinstance(value, list):
        each = shape.parts.get(_EACH)
        if each is None:
            return value
        return [_shaped(item, each, f"{where}.{number}", found) for number, item in enumerate(value)]
    if value:
        held = _held(where, value)
        found.append(_misshapen(f"{where}: holds {held}; allowed is a {shape.allowed}", shape.ends))
    return {} if shape.allowed == "mapping" else []
