"""Rows out of a text of JSON, read piece by piece: a list, pages as LiteLLM's endpoints give them, or one
after another.

LiteLLM's `/spend/logs` answers with a list, `/spend/logs/v2` and `/spend/logs/ui` with an object whose `data`
is the list; other tools name the list otherwise. A text that ends within a row gives the rows before it, and
then says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

_PIECE = 1 << 20
_LONGEST = 1 << 28
"""Characters of one row at most."""
_SPACE = " \t\r\n"
LISTS = ("data", "logs", "rows", "results", "records", "items")
"""Names of the list of rows in a page."""
_decoder = json.JSONDecoder()


class Unreadable(ValueError):
    """What follows cannot be read: no JSON, or the text ends in it."""


def values_of(text: TextIO) -> Iterator[Any]:
    """Every row of the text.

    Raises:
        Unreadable: at the place where the text stops being JSON; all rows before it were given.
    """
    reader = _Reader(text)
    while mark := reader.peek():
        if mark == "[":
            yield from reader.items()
        elif mark == "{":
            yield from reader.page_or_row()
        else:
            yield reader.value()


def rows_of_value(value: Any) -> list[Any]:
    """The rows in one value: those of a page or a list, else the value itself."""
    if isinstance(value, Mapping) and "startTime" not in value:
        lists = [value[name] for name in LISTS if isinstance(value.get(name), list)]
        return list(lists[0]) if lists else [value]
    return value if isinstance(value, list) else [value]


class _Reader:
    """The text's unread part, of which more is fetched as needed."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._held = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def take(self) -> str:
        """The next character that is no space, passed over."""
        mark = self.peek()
        self._at += 1
        return mark

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _decoder.raw_decode(self._held, self._at)
            except ValueError as error:
                if self._more():
                    continue
                raise Unreadable(str(error)) from None
            # A number at the edge of what is held may go on beyond it.
            if end == len(self._held) and not isinstance(value, (str, dict, list)) and self._more():
                continue
            self._at = end
            return value

    def items(self) -> Iterator[Any]:
        """The items of a list, which begins here."""
        self.take()
        if self.peek() == "]":
            self.take()
            return
        while True:
            yield self.value()
            mark = self.take()
            if mark == "]":
                return
            if mark != ",":
                raise Unreadable(f"{mark!r} within a list" if mark else "the text ends within a list")

    def page_or_row(self) -> Iterator[Any]:
        """An object, which begins here: the items of its list of rows where it is a page, else itself."""
        self.take()
        seen: dict[str, Any] = {}
        if self.peek() == "}":
            self.take()
            yield seen
            return
        page = False
        while True:
            key = self.value()
            if self.take() != ":":
                raise Unreadable("a name without a value")
            if key in LISTS and self.peek() == "[" and "startTime" not in seen:
                page = True
                yield from self.items()
            else:
                seen[str(key)] = self.value()
            mark = self.take()
            if mark == "}":
                break
            if mark != ",":
                raise Unreadable(f"{mark!r} within an object" if mark else "the text ends within an object")
        if not page:
            yield seen

    def _more(self) -> bool:
        if self._ended or len(self._held) - self._at > _LONGEST:
            return False
        # Twice as much each time: a long row is not decoded from its start too often.
        piece = self._text.read(max(_PIECE, len(self._held) - self._at))
        self._ended = not piece
        if piece:
            self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)
