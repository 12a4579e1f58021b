"""Keys that stand twice in one mapping of a configuration file: YAML takes the last and says nothing.

Lines that are added under a second `router_settings:` so do away with the first one, or are done away with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rb_litellm.doctor.finding import Finding, warn
from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigFile

_MERGE = "tag:yaml.org,2002:merge"


def check(files: Sequence[ConfigFile]) -> Iterator[Finding]:
    """A warning for each key that another one of its mapping hides."""
    import yaml

    for file in files:
        for name, first, again in _repeated(yaml.compose(file.text, Loader=yaml.SafeLoader)):
            yield warn(
                "file",
                f"{file.path}: {name} stands in line {first} and again in line {again}; "
                "the last one counts alone",
                "put both into one",
            )


def _repeated(root: Any) -> Iterator[tuple[str, int, int]]:
    """Key, line and later line of each, in the order of the file."""
    waiting, seen = [("", root)], set()
    found = []
    while waiting:
        where, node = waiting.pop()
        if node is None or id(node) in seen:  # an anchor's content stands in many places
            continue
        seen.add(id(node))
        if node.id == "sequence":
            waiting += [(f"{where}.{number}", item) for number, item in enumerate(node.value)]
        elif node.id == "mapping":
            lines: dict[str, int] = {}
            for key, value in node.value:
                name = f"{where}.{key.value}".lstrip(".")
                line = key.start_mark.line + 1
                if key.tag != _MERGE and name in lines:
                    found.append((name, lines[name], line))
                lines[name] = line
                waiting.append((name, value))
    return iter(sorted(found, key=lambda one: one[2]))
