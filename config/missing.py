"""Print the requirements of a file with hashes whose packages are not installed here yet.

LiteLLM's own image brings its releases of most of them along, and those stay: what it was tested with counts
more there than what stands in our file. On a plain Python all are missing.

    python missing.py requirements.txt > missing.txt
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path


def entries(text: str) -> Iterator[str]:
    """The requirements of the file, each with its hashes on the lines that belong to it."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return iter(re.findall(r"^\S.*(?:\n[ \t].*)*", "\n".join(lines), re.MULTILINE))


def normal(name: str) -> str:
    """A package's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(file: Path) -> None:
    """Print what is missing."""
    there = {normal(one.metadata["Name"]) for one in distributions()}
    for entry in entries(file.read_text()):
        if normal(re.split(r"[=\s;\[]", entry, maxsplit=1)[0]) not in there:
            print(entry)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
