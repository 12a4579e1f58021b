"""Graded answers with a known law, and the measured ones where they are at hand."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(
    os.environ.get("RB_DATA")
    or os.environ.get("RB_SHARED_DATA")
    or Path(__file__).parents[2].parent / "shared" / "data"
)
_FILLERS = ["please", "tell", "me", "about", "the", "sea", "and", "ships", "then", "a", "garden", "birds"]


def answers(prompts: int = 120, seed: int = 0, signal: bool = True) -> list[dict[str, Any]]:
    """Rows where `small` fails on prompts with code and `large` never does; code is answered at length."""
    dice = random.Random(seed)
    rows = []
    for number in range(prompts):
        code = dice.random() < 0.5
        words = [dice.choice(_FILLERS) for _ in range(12)]
        told = code if signal else dice.random() < 0.5
        text = f"{' '.join(words)} {number} " + ("def solve(x): return x" if told else "a short poem")
        for model, quality in (("small", 0.1 if code else 0.9), ("large", 0.7)):
            rows.append(
                {
                    "prompt": text,
                    "model": model,
                    "quality": min(max(quality + dice.gauss(0.0, 0.05), 0.0), 1.0),
                    "output_tokens": round((400 if code else 40) * dice.uniform(0.7, 1.4)),
                    "task": "code" if code else "poem",
                }
            )
    return rows


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as a JSON-lines file and gives its path."""

    def write(rows: list[dict[str, Any]], name: str = "answers.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of a measured data set; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = _FOLDER / name
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        return path

    return find
