"""What is said of settings that cannot be used: name, value, and what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_origin

from pydantic import BaseModel, ValidationError

from rb_litellm.config.allowed import what_is_allowed
from rb_litellm.redaction import without_secrets
from rb_litellm.suggestion import did_you_mean

_MOST = 32
"""Wrong settings that one error lists."""
_SHOWN = 200
"""Characters of a wrong value that an error repeats."""
_READ = 4_096
"""Characters of it in which an address is looked for, whose password is not repeated."""
_SECRET = ("password", "secret", "api_key")
"""Settings whose values are never repeated, by a part of their names."""


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


def explain(error: ValidationError, where: str, model: type[BaseModel], without: Collection[str] = ()) -> str:
    """One line per wrong setting: its full name, what is allowed, and the value that was given.

    `where` is what the names stand in, or, with a hyphen at its end, how the names of headers begin.
    Names `without` are not proposed.
    """
    lines = []
    for problem in error.errors()[:_MOST]:
        # `[key]` is pydantic's word for a key of a mapping that is no setting.
        parts = [str(part)[:_SHOWN] for part in problem["loc"] if part != "[key]"]
        name = _name(where, parts)
        secret = any(word in name.lower() for word in _SECRET)
        value = "hidden" if secret else shown(problem["input"])
        if problem["type"] == "extra_forbidden":
            fields, given = _fields_at(model, problem["loc"][:-1]), str(problem["loc"][-1])
            fields = [field for field in fields if field not in without]
            if where.endswith("-") and len(parts) == 1:
                *fields, given = (field.replace("_", "-") for field in (*fields, given))
            allowed, hint = ", ".join(fields), did_you_mean(given, fields)
            lines.append(f"{name}: unknown setting (value {value}); {hint}allowed are {allowed}")
        else:
            lines.append(f"{name}: {what_is_allowed(problem)} (value {value})")
    return "\n".join(lines)


def _name(where: str, parts: list[str]) -> str:
    if not where.endswith("-") or not parts:
        return ".".join([where, *parts])
    return ".".join([where + parts[0].replace("_", "-"), *parts[1:]])


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    named = False
    """Whether the next part is a key that the operator has chosen."""
    for part in path:
        if named:
            named = False
            continue
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        nested = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not nested:
            return ["(see the documentation)"]
        model, named = nested[0], get_origin(annotation) is dict
    return list(model.model_fields)


def shown(value: object) -> str:
    """A value for an error message: its beginning, on one line, without passwords of addresses."""
    try:
        if isinstance(value, str):
            text = repr(without_secrets(value[:_READ])[:_SHOWN])
        else:
            text = without_secrets(repr(value[:_SHOWN] if isinstance(value, bytes) else value))
    except (ValueError, RecursionError):
        # Python writes no whole number of more than 4,300 digits, and nothing that is nested too deeply.
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
