"""The question without the answers to choose from: whether they are listed says nothing of its kind."""

from __future__ import annotations

import re

from rb_litellm.core.types import Prompt

MAX_CHARS = 6_000
"""Longer prompts are read as they are."""
FEWEST = 3
_OPTION = re.compile(r"^[ \t]*\(?([A-J])[).:][ \t]*\S.*(?:\n|\Z)", re.MULTILINE)
_END = re.compile(
    r"\n\s*(?:the )?(?:correct |best )?(?:answer|choice)\s*(?:is)?\s*:?\s*\(?\s*\Z", re.IGNORECASE
)


def without_options(prompt: Prompt) -> Prompt:
    """The prompt without lines `A.`, `(B)`, `C)` and so on, where there are at least FEWEST from A on."""
    text = prompt.text
    if len(text) > MAX_CHARS or "B" not in text or "C" not in text:
        return prompt
    letters = [found[1] for found in _OPTION.finditer(text)]
    if len(letters) < FEWEST or letters[:FEWEST] != ["A", "B", "C"]:
        return prompt
    left = _END.sub("", _OPTION.sub("", text)).strip()
    return prompt._replace(text=left) if left else prompt
