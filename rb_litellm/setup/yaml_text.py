"""Add to a YAML file by inserting text, so that comments, order, quotes and layout stay as they are.

PyYAML tells where every node stands; an addition is a piece of text at one of these places. What came
out is read again and must say exactly what was meant, else nothing is changed.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import yaml

_WIDTH = 110

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document."""


class CannotEdit(ValueError):
    """The file is written in a way that additions cannot be made to safely; says where."""


@dataclass(slots=True)
class _Insertion:
    at: int
    text: str
    replaced: int = 0
    """Characters after `at` that the text stands for."""
    indent: int = 1_000
    """Of a block; within a line it does not count."""


@dataclass(slots=True)
class YamlText:
    """A YAML document as text, and what is to be added to it."""

    text: str
    _root: yaml.MappingNode = field(init=False)
    _wanted: Any = field(init=False)
    _insertions: list[_Insertion] = field(init=False, default_factory=list)
    _newline: str = field(init=False)

    def __post_init__(self) -> None:
        root = yaml.compose(self.text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise CannotEdit("the file is no mapping")
        self._root = root
        self._wanted = copy.deepcopy(yaml.safe_load(self.text))
        self._newline = "\r\n" if "\r\n" in self.text else "\n"

    def get(self, path: Path) -> Any:
        """What the document will hold there, None for nothing."""
        holder = self._wanted
        for step in path:
            if isinstance(holder, dict):
                holder = holder.get(step)
            else:
                within = isinstance(holder, list) and isinstance(step, int) and step < len(holder)
                holder = holder[step] if within else None
        return holder

    def set(self, path: Path, value: Any, comment: str = "") -> None:
        """Add `value` under a key that is not there yet (or holds a scalar, which it replaces).

        Mappings on the way that are missing are made. A comment ends up beside the value in block style.

        Raises:
            CannotEdit: a part of the path is an alias, or neither a mapping nor empty.
        """
        node, depth = self._descend(path)
        missing = path[depth:]
        if missing and self.get(path[: depth + 1]) is not None:
            raise CannotEdit(f"{_dotted(path[: depth + 1])} comes in by a merge key (<<)")
        for key in reversed(missing[1:]):
            value = {key: value}
        self._want(path[: depth + 1], value)
        if not missing:
            self._replace(node, value)
        elif isinstance(node, yaml.MappingNode) and node.value:
            self._add_key(node, str(missing[0]), value, comment)
        else:
            self._fill(node, path[:depth], {str(missing[0]): value}, comment)

    def append(self, path: Path, item: Any) -> None:
        """Add an item to the end of a list; a scalar there becomes the list's first item."""
        node, depth = self._descend(path)
        if depth < len(path):
            self.set(path, [item])
        elif isinstance(node, yaml.SequenceNode) and node.value:
            self.get(path).append(item)
            self._add_item(node, item)
        else:
            before = self.get(path) or None
            self.set(path, [item] if before is None else [before, item])

    def result(self) -> str:
        """The text with all additions.

        Raises:
            CannotEdit: it would not say what was meant.
        """
        text = self.text
        # Of two additions at one place the one that is nested deeper belongs to what stands before it.
        in_order = sorted(self._insertions, key=lambda insertion: (insertion.at, -insertion.indent))
        for insertion in in_order[::-1]:
            text = text[: insertion.at] + insertion.text + text[insertion.at + insertion.replaced :]
        try:
            said = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise CannotEdit(f"the additions do not fit into the file: {error}") from error
        if said != self._wanted:
            raise CannotEdit("the additions do not fit into the file's layout")
        return text

    # Where

    def _descend(self, path: Path) -> tuple[yaml.Node, int]:
        """The deepest node on the path that is there, and how many steps lead to it."""
        node: yaml.Node = self._root
        for depth, step in enumerate(path):
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                following = node.value[step]
            else:
                following = _value(node, str(step)) if isinstance(node, yaml.MappingNode) else None
            if following is None:
                return node, depth
            if following.start_mark.index < node.start_mark.index:
                raise CannotEdit(f"{_dotted(path[: depth + 1])} is an alias of another part of the file")
            node = following
        return node, len(path)

    def _want(self, path: Path, value: Any) -> None:
        holder = self._wanted
        for step in path[:-1]:
            if holder[step] is None:
                holder[step] = {}
            holder = holder[step]
        holder[path[-1]] = value

    # What

    def _add_key(self, node: yaml.MappingNode, key: str, value: Any, comment: str) -> None:
        if node.flow_style:
            self._into_flow(node, f"{self._flow(key)}: {self._flow(value)}")
            return
        indent = node.value[0][0].start_mark.column
        space = "\n" if node is self._root else ""
        self._after(self._last_line(node), space + self._block({key: value}, indent, comment), indent)

    def _add_item(self, node: yaml.SequenceNode, item: Any) -> None:
        if node.flow_style:
            self._into_flow(node, self._flow(item))
            return
        indent = node.start_mark.column
        block = self._block(item, indent + 2)
        self._after(self._last_line(node), f"{block[:indent]}- {block[indent + 2 :]}", indent)

    def _fill(self, node: yaml.Node, path: Path, value: dict[str, Any], comment: str) -> None:
        """Put a mapping where a key stands without a value, or with an empty one."""
        if node.value and node.value not in ("~", "null"):
            raise CannotEdit(f"{_dotted(path)} holds no mapping")
        if not path:
            self._after(self._line_of(len(self.text)), self._block(value, 0, comment), 0)
            return
        if node.start_mark.index < node.end_mark.index:
            self._replace(node, value)
            return
        key = self._key_of(path)
        indent = key.start_mark.column + 2
        self._after(key.end_mark.line, self._block(value, indent, comment), indent)

    def _replace(self, node: yaml.Node, value: Any) -> None:
        if isinstance(node, yaml.CollectionNode) and node.value:
            raise CannotEdit(f"line {node.start_mark.line + 1} holds something else")
        start, end = node.start_mark.index, node.end_mark.index
        if self.text[start : start + 1] in ("&", "!"):
            raise CannotEdit(f"line {node.start_mark.line + 1} has an anchor or a tag without a value")
        flow = self._flow(value)
        self._insertions.append(_Insertion(start, flow if end > start else f" {flow}", end - start))

    def _into_flow(self, node: yaml.CollectionNode, text: str) -> None:
        end = node.end_mark.index - 1  # before the closing bracket
        body = self.text[:end].rstrip()
        if "#" in self.text[len(body) - len(body.split("\n")[-1]) : end]:
            raise CannotEdit(f"line {node.end_mark.line + 1} closes a list or mapping after a comment")
        comma = "" if not node.value or body.endswith(",") else ", "
        self._insertions.append(_Insertion(len(body), comma + text))

    def _after(self, line: int, block: str, indent: int) -> None:
        text = self._newline + block.replace("\n", self._newline)
        self._insertions.append(_Insertion(self._end_of_line(line), text, indent=indent))

    def _block(self, value: Any, indent: int, comment: str = "") -> str:
        dumped = yaml.dump(
            value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=_WIDTH, allow_unicode=True
        )
        lines = [line for line in dumped.splitlines() if line != "..."]
        if comment:
            lines[-1] += f"  # {comment}"
        return "\n".join(" " * indent + line for line in lines)

    def _flow(self, value: Any) -> str:
        if self._root.flow_style:
            return json.dumps(value)  # within JSON everything must stay JSON
        dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
        return str(dumped).strip().removesuffix("...").strip()

    def _key_of(self, path: Path) -> yaml.Node:
        holder, _ = self._descend(path[:-1])
        found: yaml.Node = next(key for key, _ in holder.value if key.value == path[-1])
        return found

    def _last_line(self, node: yaml.Node) -> int:
        """The line on which a block collection's last piece of content stands."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            if isinstance(node, yaml.MappingNode):
                key, value = last
                alias = value.start_mark.index < key.start_mark.index
                return int(key.end_mark.line) if alias else max(key.end_mark.line, self._last_line(value))
            return (
                self._last_line(last) if last.start_mark.index >= node.start_mark.index else self._lost(node)
            )
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return self._line_of(len(self.text[: node.end_mark.index].rstrip()))
        return int(node.end_mark.line)

    def _lost(self, node: yaml.Node) -> int:
        raise CannotEdit(f"the list at line {node.start_mark.line + 1} ends with an alias")

    def _line_of(self, index: int) -> int:
        return self.text.count("\n", 0, index)

    def _end_of_line(self, line: int) -> int:
        at = 0
        for _ in range(line):
            at = self.text.index("\n", at) + 1
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        return end - 1 if end and self.text[end - 1] == "\r" else end


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _value(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in node.value if name.value == key), None)


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
