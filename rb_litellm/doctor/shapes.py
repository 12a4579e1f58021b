"""Parts of a configuration that are another kind of value than LiteLLM takes there.

A dash too many makes a list of a mapping, one too few the reverse. LiteLLM ends on such a file without naming
the place; what else is wrong with the file can be told all the same. So it does on entries without a name or
a model, on names that YAML takes for numbers, and on prices that are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from rb_litellm.excerpt import excerpt


class _Shape(NamedTuple):
    allowed: Literal["mapping", "list"]
    parts: Mapping[str, _Shape] = {}
    """Of a mapping by name; of a list, what each of its items is stands under _EACH."""


_EACH = "*"
PRICES = ("input_cost_per_token", "output_cost_per_token")
_MAPPING, _LIST = _Shape("mapping"), _Shape("list")
_CONFIGURATION = _Shape(
    "mapping",
    {
        "model_list": _Shape(
            "list", {_EACH: _Shape("mapping", {"litellm_params": _MAPPING, "model_info": _MAPPING})}
        ),
        "credential_list": _Shape("list", {_EACH: _MAPPING}),
        "litellm_settings": _Shape("mapping", {"cache_params": _MAPPING}),
        "router_settings": _Shape(
            "mapping", {"model_group_alias": _MAPPING, "optional_pre_call_checks": _LIST}
        ),
        "general_settings": _MAPPING,
    },
)
"""Routing groups are looked at where their rules are."""


def shaped(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The configuration without its misshapen parts, and a message for each of these."""
    found: list[str] = []
    kept: dict[str, Any] = _shaped(content, _CONFIGURATION, "", found)
    given, entries = content.get("model_list"), kept.get("model_list")
    if isinstance(given, list) and entries:
        for number, (before, entry) in enumerate(zip(given, entries, strict=True)):
            found += _lacking(f"model_list.{number}", before, entry)
    return kept, found


def _lacking(where: str, given: object, entry: Mapping[str, Any]) -> Iterator[str]:
    """What an entry of `model_list` needs and has not, or has and LiteLLM cannot take."""
    if given is None:
        yield f"{where}: is empty; allowed is a mapping"
    if not isinstance(given, Mapping):
        return
    needed = [("model_name", entry.get("model_name"))]
    params = entry.get("litellm_params") or {}
    if isinstance(given.get("litellm_params"), (Mapping, type(None))):  # else that is told already
        needed.append(("litellm_params.model", params.get("model")))
    for name, value in needed:
        if value is None:
            yield f"{where}.{name}: missing, and needed"
        elif not isinstance(value, str):
            yield f"{where}.{name}: holds {excerpt(value)}; allowed is a text, such as '{value}' in quotes"
    for name in PRICES:
        if isinstance(price := params.get(name), str) and not _is_number(price):
            yield f"{where}.litellm_params.{name}: holds {excerpt(price)}; allowed is a number, 0 for free"


def _is_number(text: str) -> bool:
    if text.startswith("os.environ/"):
        return True  # told of where it is not set
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shaped(value: Any, shape: _Shape, where: str, found: list[str]) -> Any:
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
        found.append(f"{where}: holds {excerpt(value)}; allowed is a {shape.allowed}")
    return {} if shape.allowed == "mapping" else []
