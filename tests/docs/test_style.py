"""The form of the documentation: a short README, words that are explained, figures with commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, README, ROOT, commands, name, outside_blocks, prose

WORDS = {
    "TTFT": "time to first token",
    "TPOT": "time per output token",
    "E2E": "end-to-end latency",
    "SLO": "service-level objective",
}


def test_the_readme_is_for_a_reader_in_a_hurry() -> None:
    assert len(README.read_text().splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_line_of_prose_is_long(page: Path) -> None:
    assert [f"{name(page)}:{number}" for number, line in prose(page) if len(line) > 120] == []


@pytest.mark.parametrize("page", [README, *DOCS], ids=name)
def test_abbreviations_are_spelled_out_at_their_first_use(page: Path) -> None:
    text = " ".join(re.sub(r"`[^`]*`", "``", line).strip("|> ") for _, line in outside_blocks(page))
    for short, long in WORDS.items():
        first = re.search(rf"\b{short}\b", text)
        if first is not None:
            assert long in text[: first.end() + len(long) + 60].lower(), f"{name(page)}: {short}"


def test_every_section_of_figures_has_its_command() -> None:
    page = ROOT / "docs" / "benchmarks.md"
    sections = page.read_text().split("\n## ")[1:]
    lacking = [
        section.partition("\n")[0]
        for section in sections
        if not re.search(r"(routebalance (bench|experiment|simulate|evaluate|train|demo)|pytest) ?", section)
    ]
    assert lacking == []
    assert commands(page, "routebalance")


def test_the_readmes_table_has_its_command() -> None:
    assert re.search(r"Made by `routebalance experiment \w", README.read_text())
