"""Markdown pages taken apart: fenced blocks, prose, inline code, headings, links, and the commands shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *DOCS]

_FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_OPERATORS = {"&&", "||", "|", ";", "&"}


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command as its words; `whole` where it stands in a block, and not as a mention within a sentence."""

    where: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.where}: {' '.join(self.words)[:60]}"


def name(page: Path) -> str:
    """Its path within the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """Fenced blocks, in lists too and without their indentation; of all languages if none is named."""
    found: list[Block] = []
    begun: tuple[int, str, str, list[str]] | None = None
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = _FENCE.match(line)
        if begun is None:
            begun = (number, fence[1], fence[2], []) if fence else None
        elif fence and fence[1] == begun[1]:
            start, _, language, lines = begun
            found.append(Block(name(page), start, language, "\n".join(lines) + "\n"))
            begun = None
        else:
            begun[3].append(line.removeprefix(begun[1]))
    assert begun is None, f"{page}: the block that begins in line {begun[0]} does not end"
    return [block for block in found if not languages or block.language in languages]


def outside_blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers that are in no fenced block and no indented formula."""
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside and not line.startswith("    "):
            yield number, line


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Lines outside of blocks that are no rows of tables."""
    return ((number, line) for number, line in outside_blocks(page) if not line.startswith("|"))


def spans(page: Path) -> list[tuple[str, str]]:
    """(place, text) of inline code; a span may go over the end of a line of prose."""
    found = []
    paragraph: list[str] = []
    start = 0
    for number, line in [*outside_blocks(page), (0, "")]:
        if line and not line.startswith("|") and paragraph:
            paragraph.append(line.strip())
            continue
        found += [(f"{name(page)}:{start}", text) for text in _SPAN.findall(" ".join(paragraph))]
        paragraph, start = ([line.strip()], number) if line else ([], 0)
    return found


def links(page: Path) -> list[tuple[str, str]]:
    """(place, target) of links and pictures."""
    return [
        (f"{name(page)}:{number}", target)
        for number, line in outside_blocks(page)
        for target in _LINK.findall(_SPAN.sub("", line))
    ]


def anchors(page: Path) -> set[str]:
    """What a link may name after `#`, by GitHub's rule; a second heading of the same words gets `-1`."""
    found: set[str] = set()
    for _, line in outside_blocks(page):
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().replace("`", "").lower())
            slug, number = words.replace(" ", "-"), 0
            while (anchor := slug if not number else f"{slug}-{number}") in found:
                number += 1
            found.add(anchor)
    return found


def commands(page: Path, *programs: str) -> list[Command]:
    """What is shown of these programs, in blocks of `sh` and as inline code."""
    found = []
    for block in blocks(page, "sh"):
        found += [Command(str(block), words, whole=True) for words in _parts(block.text)]
    for where, text in spans(page):
        if text.split()[0] in programs and len(text.split()) > 1:
            found += [Command(where, words, whole=False) for words in _parts(text)]
    return [command for command in found if command.words[0] in programs]


def _parts(text: str) -> Iterator[tuple[str, ...]]:
    """Simple commands of a script, without assignments before them."""
    line = ""
    for piece in text.replace("\\\n", " ").splitlines():
        line += piece
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
            lexer.whitespace_split = True
            tokens = list(lexer)
        except ValueError:  # A quotation that goes on in the next line.
            line += "\n"
            continue
        line = ""
        words: list[str] = []
        for token in [*tokens, ";"]:
            if token not in _OPERATORS:
                words.append(token)
                continue
            while words and re.match(r"^\w+=", words[0]):
                del words[0]
            if words:
                yield tuple(words)
            words = []
