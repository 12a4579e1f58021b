"""The bundled table of models: published measurements of each, by benchmark.

`models.csv` holds facts, no opinions: scores in [0, 1] as their makers or a public leaderboard report them,
the rating of the Chatbot Arena, parameters in billions (all, and those active per token), month of release.
What is not published is empty, and so is what is published of the base model alone; but MMLU, which tuning
moves little, may be that of the base model. Of models that answer with and without thinking, those published
without it are taken, but for DeepSeek's from V3.2 on, which think unless told not to. Sources: LLM-Stats
(CC BY 4.0) for benchmarks that makers report, the model cards and papers where it has none or those of the
base model, the Chatbot Arena's leaderboard for `arena`, ZeroEval's summaries (Apache-2.0) for the two columns
that end in its name.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

FACTS = (
    "mmlu",
    "mmlu_pro",
    "gpqa",
    "gsm8k",
    "math",
    "humaneval",
    "ifeval",
    "tools",
    "arena",
    "mmlu_zeroeval",
    "gsm8k_zeroeval",
)
"""Columns of measurements. `tools` is the Berkeley function-calling leaderboard."""
_GUESSED: Mapping[str, float] = {"mmlu": 0.25, "mmlu_pro": 0.1, "gpqa": 0.25, "mmlu_zeroeval": 0.25}
"""What guessing earns where answers are chosen from a list."""
_ELO = math.log(10.0) / 400.0
_ARENA_MIDDLE = 1150.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the table."""

    name: str
    aliases: tuple[str, ...]
    billions: float | None
    active_billions: float | None
    """Those that are active per token, where they are not all."""
    released: float
    """In years since 2024."""
    facts: Mapping[str, float]
    """Measurements as log odds, guessing taken off; the Arena's rating on the same scale."""


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """All models of the table, in its order."""
    text = files(__package__).joinpath("models.csv").read_text("utf-8")
    return tuple(map(_entry, csv.DictReader(text.splitlines())))


def _entry(row: Mapping[str, str]) -> Entry:
    year, month = map(int, row["released"].split("-"))
    return Entry(
        name=row["name"],
        aliases=tuple(row["aliases"].split()),
        billions=float(row["billions"]) if row["billions"] else None,
        active_billions=float(row["active_billions"]) if row["active_billions"] else None,
        released=year + (month - 0.5) / 12.0 - 2024.0,
        facts={name: log_odds(name, float(row[name])) for name in FACTS if row[name]},
    )


def log_odds(fact: str, value: float) -> float:
    """A measurement on the scale that abilities have."""
    if fact == "arena":
        return (value - _ARENA_MIDDLE) * _ELO
    guessed = _GUESSED.get(fact, 0.0)
    share = min(max((value - guessed) / (1.0 - guessed), 0.01), 0.99)
    return math.log(share / (1.0 - share))
