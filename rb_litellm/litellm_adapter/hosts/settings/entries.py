"""What LiteLLM's own types refuse of an entry of `model_list`: a proxy serves without that deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def refused(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, str]]:
    """(section, field, its value, what LiteLLM says of it) for each field that it refuses.

    Values that `os.environ/` stands for are not known here, and passed over. Nothing is told of a release
    without these types.
    """
    try:
        from litellm.types.router import LiteLLM_Params, ModelInfo
    except ImportError:
        return
    sections: tuple[tuple[str, type[BaseModel]], ...] = (
        ("litellm_params", LiteLLM_Params),
        ("model_info", ModelInfo),
    )
    for section, type_ in sections:
        fields = entry.get(section)
        if isinstance(fields, Mapping):
            known = {
                str(name): value
                for name, value in fields.items()
                if not (isinstance(value, str) and value.startswith("os.environ/"))
            }
            yield from ((section, name, known[name], said) for name, said in _errors(type_, known))


def _errors(type_: type[BaseModel], fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        type_(**fields)
    except ValidationError as error:
        told: dict[str, str] = {}
        for one in error.errors(include_url=False):
            name = str(one["loc"][0]) if one["loc"] else ""
            # Of a field with several forms the last is the plain one; a missing one is told by who asks.
            if name in fields:
                told[name] = one["msg"]
        yield from told.items()
    except Exception:  # noqa: BLE001  what else its types do with a value is LiteLLM's to say
        return
