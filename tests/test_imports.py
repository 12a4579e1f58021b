"""Who imports whom: no import circle, and arrows between the parts of the package point one way.

Every import counts, those inside functions and under TYPE_CHECKING too. A new part is to be named in LAYERS,
a new room of the adapter in ROOMS.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rb_litellm"

LAYERS = (
    {"version", "redaction", "suggestion", "excerpt", "new_file", "bounded_yaml"},
    {"core", "spread"},
    {"config"},
    {"controls", "logs"},
    {"state", "predictors", "fitting"},
    {"balancing"},
    {"balancer"},
    {"telemetry"},
    {"litellm_adapter"},
    {"__init__"},
    {"launcher", "train", "doctor", "datasets", "calibration"},
    {"sim", "setup"},
    {"replay", "demo"},
    {"bench"},
    {"cli"},
)
"""The parts of the package, the lowest first. A part imports from lower layers only."""

ROOMS = (
    {"hosts.host"},
    {"shared"},
    {"runtime"},
    {"request"},
    {"lifecycle"},
    {"worker"},
    {"fallback"},
    {"held", "further_answers"},
    {"reader"},
    {"strategy"},
    {"build_selector"},
    {"hosts"},
    {"proxy"},
    {"register"},
)
"""The rooms of the adapter, in the same way. `hosts.host` is the interface that all of them may import."""


@cache
def modules() -> dict[str, Path]:
    """Files by module name below the package; packages by `__init__`."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


@cache
def imports() -> dict[str, set[str]]:
    """The modules of the package that each of its modules imports."""
    return {name: set(_imported(path)) for name, path in modules().items()}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            # `from package import module` and `from module import name` look alike.
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (_module(name) for name in found if name.split(".")[0] == PACKAGE.name)


def _module(dotted: str) -> str:
    """The module that a dotted name is, or is defined in."""
    name = ".".join(dotted.split(".")[1:])
    while name and name not in modules() and f"{name}.__init__" not in modules():
        name = name.rpartition(".")[0]
    return name if name in modules() else f"{name}.__init__".lstrip(".")


def circles() -> list[list[str]]:
    """Groups of modules that import each other: strongly connected components (Tarjan, 1972)."""
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in imports()[name]:
            if other not in number:
                visit(other)
            if other in stack:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == number[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in imports():
        if name not in number:
            visit(name)
    return found


def part_of(module: str) -> str:
    """The part of the package that a module belongs to."""
    return module.split(".")[0]


def room_of(module: str) -> str:
    """The room of the adapter that a module belongs to."""
    inside = module.removeprefix("litellm_adapter.")
    return inside if inside == "hosts.host" else inside.split(".")[0]


def arrows_up(layers: tuple[set[str], ...], below: str, place: Callable[[str], str]) -> list[str]:
    """Imports among the modules `below` that do not point to a lower layer."""
    height = {name: level for level, layer in enumerate(layers) for name in layer}
    wrong = []
    for module, others in imports().items():
        for other in others:
            if module.startswith(below) and other.startswith(below):
                here, there = place(module), place(other)
                if here != there and height[there] >= height[here]:
                    wrong.append(f"{module} imports {other}")
    return sorted(wrong)


def test_no_modules_import_each_other():
    assert circles() == []


@pytest.mark.parametrize(
    ("layers", "below", "place"), [(LAYERS, "", part_of), (ROOMS, "litellm_adapter.", room_of)]
)
def test_every_part_has_its_layer(layers, below, place):
    named = set().union(*layers)
    there = {place(module) for module in modules() if module.startswith(below)} - {"__init__"}
    assert there == named - {"__init__"}


@pytest.mark.parametrize(
    ("layers", "below", "place"), [(LAYERS, "", part_of), (ROOMS, "litellm_adapter.", room_of)]
)
def test_imports_point_to_lower_layers(layers, below, place):
    assert arrows_up(layers, below, place) == []
