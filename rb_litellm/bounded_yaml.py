"""YAML whose aliases stand for no more than a configuration can mean.

`*name` stands for all that `&name` marks. A few lines of aliases of aliases can so stand for billions of
values, and one inside what it stands for never ends: whoever walks over the values runs out of memory or
stack. A proxy that runs reads its file again when that changes, so it must not take such a file.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_NODES = 1_000_000
"""Keys, values and lists that a file may stand for; 1,000 deployments have about 20,000."""
MAX_DEPTH = 100
"""Levels of lists and mappings in each other. Walking over one takes a few frames of Python's 1,000."""
_TOO_DEEP = f"has more than {MAX_DEPTH} levels; allowed are so many"


class BeyondBounds(ValueError):
    """A file that stands for too much; says where and what is allowed."""


def load(text: str) -> Any:
    """The value of a YAML text, as `yaml.safe_load` gives it.

    Raises:
        BeyondBounds: see above.
        yaml.YAMLError: it is no YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        # Before the values are made: merging (`<<`) writes out what aliases stand for.
        _Counted().size(node)
        return loader.construct_document(node)
    except RecursionError:
        raise BeyondBounds(_TOO_DEEP) from None
    finally:
        loader.dispose()


class _Counted:
    """Nodes and levels below each node, aliases written out. Each node is looked at once."""

    def __init__(self) -> None:
        self._sizes: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def size(self, node: yaml.Node) -> tuple[int, int]:
        """Nodes that it stands for, and how many levels they have.

        What an alias stands for comes before it in the text, so this nests no deeper than the text does.
        """
        key = id(node)
        if (known := self._sizes.get(key)) is not None:
            return known
        if key in self._open:
            raise BeyondBounds(f"{_line(node)}: an alias (*) stands inside of what it stands for")
        self._open.add(key)
        nodes, levels = 1, 0
        for part in _parts(node):
            below, deep = self.size(part)
            nodes, levels = nodes + below, max(levels, deep + 1)
        if nodes > MAX_NODES:
            raise BeyondBounds(
                f"{_line(node)}: aliases (*) stand for more than {MAX_NODES:,} values; allowed are so many"
            )
        if levels > MAX_DEPTH:
            raise BeyondBounds(f"{_line(node)}: {_TOO_DEEP}")
        self._open.remove(key)
        self._sizes[key] = nodes, levels
        return nodes, levels


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
