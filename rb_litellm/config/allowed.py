"""What is allowed in the place of a value that pydantic refused, in the words of our other messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_ALLOWED = {
    "missing": "it is missing, and needed",
    "greater_than": "allowed is a number above {gt:.15g}",
    "greater_than_equal": "allowed is a number of at least {ge:.15g}",
    "less_than": "allowed is a number below {lt:.15g}",
    "less_than_equal": "allowed is a number of at most {le:.15g}",
    "finite_number": "allowed is a finite number",
    **dict.fromkeys(("float_parsing", "float_type"), "allowed is a number"),
    **dict.fromkeys(
        ("int_parsing", "int_parsing_size", "int_type", "int_from_float"), "allowed is a whole number"
    ),
    **dict.fromkeys(("bool_parsing", "bool_type"), "allowed is true or false"),
    "string_type": "allowed is a text",
    "string_too_short": "allowed is a text of at least {min_length} characters",
    "string_too_long": "allowed is a text of at most {max_length} characters",
    "string_pattern_mismatch": "allowed is a text that matches {pattern}",
    **dict.fromkeys(("literal_error", "enum"), "allowed are {expected}"),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type"), "allowed is a mapping"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "allowed is a list"),
    "too_short": "allowed is a list of at least {min_length}",
    "too_long": "allowed is a list of at most {max_length}",
}
"""By pydantic's type of the error, with its context's names in braces."""


def what_is_allowed(problem: ErrorDetails) -> str:
    """One clause without a full stop; pydantic's own words for types that are not in the list above, and the
    message of a validator of ours as it is."""
    told = _ALLOWED.get(problem["type"])
    if told is None:
        return problem["msg"].removeprefix("Value error, ")
    return told.format_map(problem.get("ctx", {}))
