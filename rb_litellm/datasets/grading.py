"""Whether a model's reply holds the gold answer, for replies in JSON with a field `answer`."""

from __future__ import annotations

import ast
import json
import re
import warnings

_ANSWER = re.compile(r'"answer"\s*:\s*("(?:[^"\\]|\\.)*"|[^\n}]*)', re.DOTALL)
_NOT_OF_NUMBERS = re.compile(r"[\s$,%]")
_UNKNOWN = re.compile(r"[A-Za-z]\w*=")
_FRACTION = re.compile(r"(-?\d+)/(\d+)")
_ASSERTION = re.compile(r"assert .*==(.*)", re.DOTALL)
_QUOTES = "'\" "
_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def answer_of(reply: str) -> str | None:
    """The last `answer` that a reply gives, whether or not its JSON is whole; None where it gives none."""
    found = _ANSWER.findall(reply)
    if not found:
        return None
    text: str = found[-1].strip()
    if text.startswith('"'):
        try:
            return str(json.loads(text, strict=False))
        except ValueError:
            return text.strip('"')
    return text


def right_number(answer: str, gold: str) -> bool:
    """Whether both are the same number, or the same text, but for units, spaces and an `x =` before it."""
    given, wanted = _bare_number(answer), _bare_number(gold)
    if given == wanted:
        return True
    value = _value(given)
    return value is not None and value == _value(wanted)


def _bare_number(text: str) -> str:
    bare = _NOT_OF_NUMBERS.sub("", text).rstrip(".")
    return bare[found.end() :] if (found := _UNKNOWN.match(bare)) else bare


def _value(text: str) -> float | None:
    if found := _FRACTION.fullmatch(text):
        return int(found[1]) / int(found[2]) if int(found[2]) else None
    try:
        return float(text)
    except ValueError:
        return None


def right_literal(answer: str, gold: str) -> bool:
    """Whether both are the same Python literal, or the same text but for quotes.

    An assertion counts by what stands after its last `==`. Nothing is run: `ast.literal_eval` reads literals.
    """
    text = answer.strip().strip("`")
    if asserted := _ASSERTION.match(text):
        text = asserted[1]
    text = text.strip()
    if text.strip(_QUOTES) == gold.strip(_QUOTES):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return bool(ast.literal_eval(text) == ast.literal_eval(gold))
        except _NO_LITERAL:
            return False
