"""Which models and prompts of the public sets are taken, by lists in the file beside this one.

About a fifth of each set's graded prompts and some of its models are left out, so that what was taught on the
rows can be judged on others. The default predictor and all figures of the documentation are made from the
rest. Models are listed by the names of their files, prompts by the first DIGITS hex digits of their ids.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

DIGITS = 8


def selected(section: str) -> tuple[str, ...]:
    """The names listed in a section, in its order."""
    return _sections()[section]


def is_left_out(name: str, prompt_id: str) -> bool:
    """Whether the prompt is left out of the set."""
    return prompt_id[:DIGITS] in _prompts(name)


@cache
def _prompts(name: str) -> frozenset[str]:
    return frozenset(selected(f"{name}: prompts left out"))


@cache
def _sections() -> dict[str, tuple[str, ...]]:
    text = files("rb_litellm.datasets").joinpath("selection.txt").read_text("ascii")
    parts = (part.partition("]") for part in text.split("[")[1:])
    return {section: tuple(names.split()) for section, _, names in parts}
