"""Add to a YAML file so that comments, order, quotes and layout stay as they are.

ruamel.yaml reads and writes the file with its comments. Where it would lay out otherwise what stands there,
that stays: only the lines that an addition changes are taken from what it writes. The result is read again
as LiteLLM reads it and must say exactly what was meant, else nothing is changed.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document."""


class CannotEdit(ValueError):
    """The file is written in a way that additions cannot be made to safely; says why."""


class YamlEdit:
    """A YAML (or JSON) document as text, and what is to be added to it."""

    def __init__(self, text: str) -> None:
        self._given = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._text = text.replace("\r\n", "\n")
        self._wanted: Any = copy.deepcopy(yaml.safe_load(text)) or {}
        self._json = self._text.lstrip().startswith("{") and _is_json(self._text)
        self._writer = _writer(self._text)
        try:
            self._document: Any = self._writer.load(self._text) or CommentedMap()
            self._before = self._written()
        except YAMLError as error:
            raise CannotEdit(str(getattr(error, "problem", None) or error)) from error
        if not isinstance(self._document, CommentedMap):
            raise CannotEdit("the file is no mapping")
        self._changed = False

    def get(self, path: Path) -> Any:
        """What the document will hold there, None for nothing."""
        return _get(self._wanted, path)

    def set(self, path: Path, value: Any, comment: str = "") -> None:
        """Put `value` there; mappings on the way that are missing, or empty, are made.

        Raises:
            CannotEdit: a part of the path is no mapping.
        """
        new_section = path[0] not in self._wanted
        for document in (self._wanted, self._document):
            made = copy.deepcopy(value)
            _put(document, path, _laid_out(made) if document is self._document else made)
        if new_section and self._text.strip():
            self._document.yaml_set_comment_before_after_key(path[0], before="\n")
        holder = _get(self._document, path[:-1])
        if comment and isinstance(holder, CommentedMap):
            holder.yaml_add_eol_comment(comment, path[-1])
        self._changed = True

    def append(self, path: Path, item: Any) -> None:
        """Add an item to the end of a list; a scalar there becomes the list's first item."""
        held = self.get(path)
        if isinstance(held, list) and held:
            self.get(path).append(copy.deepcopy(item))
            _get(self._document, path).append(_laid_out(copy.deepcopy(item)))
            self._changed = True
        else:
            self.set(path, [item] if held in (None, [], "") else [held, item])

    def result(self) -> str:
        """The text with all additions.

        Raises:
            CannotEdit: it would not say what was meant.
        """
        if not self._changed:
            return self._given
        if self._json:
            indent = len(line) - len(line.lstrip()) if (line := _second_line(self._text)) else None
            return json.dumps(self._wanted, indent=indent or None, ensure_ascii=False) + "\n"
        after = self._written()
        for text in (_merged(self._text, self._before, after), after):
            if text is not None and self._says_what_is_wanted(text):
                return text.replace("\n", self._newline)
        raise CannotEdit("the additions do not fit into the file's layout")

    def _says_what_is_wanted(self, text: str) -> bool:
        try:
            return bool(yaml.safe_load(text) == self._wanted)
        except (yaml.YAMLError, ValueError):
            return False

    def _written(self) -> str:
        out = io.StringIO()
        self._writer.dump(self._document, out)
        return out.getvalue()


def _writer(text: str) -> YAML:
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 1 << 20
    try:
        _, indent, offset = load_yaml_guess_indent(text)
    except YAMLError:
        indent = offset = None
    # A dash stands at the column of the list, its content two further on.
    offset = 2 if offset is None else offset
    writer.indent(mapping=max((indent or 4) - offset, 2), sequence=indent or offset + 2, offset=offset)
    return writer


def _get(document: Any, path: Path) -> Any:
    for step in path:
        if isinstance(document, dict):
            document = document.get(step)
        else:
            within = isinstance(document, list) and isinstance(step, int) and step < len(document)
            document = document[step] if within else None
    return document


def _put(document: Any, path: Path, value: Any) -> None:
    for depth, step in enumerate(path[:-1]):
        if not _get(document, (step,)):
            document[step] = CommentedMap() if isinstance(document, (CommentedMap, CommentedSeq)) else {}
        document = document[step]
        if not isinstance(document, (dict, list)):
            raise CannotEdit(f"{'.'.join(map(str, path[: depth + 1]))} holds no mapping")
    document[path[-1]] = value


def _laid_out(value: Any) -> Any:
    """The value for ruamel: collections of scalars on one line, others as blocks."""
    if not isinstance(value, (dict, list)):
        return value
    made: Any
    if isinstance(value, dict):
        made = CommentedMap({key: _laid_out(item) for key, item in value.items()})
    else:
        made = CommentedSeq(map(_laid_out, value))
    if not any(
        isinstance(item, (dict, list)) for item in (value.values() if isinstance(value, dict) else value)
    ):
        made.fa.set_flow_style()
    return made


def _merged(text: str, before: str, after: str) -> str | None:
    """`text` with the changes that lead from `before` to `after`; None where they cannot be told apart.

    `before` is `text` as ruamel lays it out, so that both have the same lines but for the layout.
    """
    its, old, new = (part.splitlines(keepends=True) for part in (text, before, after))
    if its and not its[-1].endswith("\n"):
        its[-1] += "\n"
    layout = SequenceMatcher(None, old, its, autojunk=False).get_opcodes()
    lines: list[str] = []
    kept_to = 0
    for what, begin, end, new_begin, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        # ruamel holds comments and empty lines to what stands before them; an addition goes before them.
        nested = new[new_begin:new_end] and new[new_begin].startswith(" ")
        while what == "insert" and nested and begin > 0 and _is_gap(old[begin - 1]):
            begin, end = begin - 1, end - 1
        its_begin, its_end = _place(layout, begin), _place(layout, end)
        if its_begin is None or its_end is None or its_begin < kept_to:
            return None
        lines += its[kept_to:its_begin] + new[new_begin:new_end]
        kept_to = its_end
    return "".join(lines + its[kept_to:])


def _place(layout: Sequence[tuple[str, int, int, int, int]], line: int) -> int | None:
    """The line of the text that a line of ruamel's layout stands for; None where it is a part of one."""
    for what, begin, end, its_begin, its_end in layout:
        if line == begin and what != "insert":
            return its_begin
        if begin < line < end:
            return its_begin + line - begin if its_end - its_begin == end - begin else None
    return layout[-1][4] if layout else 0


def _is_gap(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _second_line(text: str) -> str:
    return next(iter(text.lstrip().splitlines()[1:]), "")
