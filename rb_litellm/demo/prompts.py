"""Prompts for the demo: our own two hundred, of mixed kind and difficulty, or the user's file."""

from __future__ import annotations

import json
from pathlib import Path

from rb_litellm.demo.truth import BUILT_IN

__all__ = ["BUILT_IN", "read_prompts"]


def read_prompts(path: Path) -> list[str]:
    """Prompts of a file of JSON lines, each with `prompt`; equal ones count once.

    Raises:
        ValueError: a line is not such an object, or there is none; names the line.
    """
    prompts: dict[str, None] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                prompt = json.loads(line)["prompt"]
            except (ValueError, KeyError, TypeError):
                prompt = None
            if not isinstance(prompt, str) or not prompt:
                raise ValueError(f"{path}, line {number}: expected a JSON object with a text under `prompt`")
            prompts[prompt] = None
    if not prompts:
        raise ValueError(f"{path} holds no prompt")
    return list(prompts)
