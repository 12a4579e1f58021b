"""Another build beside this one: the same bench of both in turns, each run in a process of its own.

Both count the processor's time of their thread, whatever clock the bench itself reads: on a shared machine a
wall clock tells of others. Whether they use compiled loops is for the environment to say, the same for both.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rb_litellm.demo.stage import clean_environment

THIS = Path(__file__).parents[3]
_START = "import time; time.perf_counter = time.thread_time; from rb_litellm.cli import main; main()"
_Key = tuple[Any, ...]


class BuildFailed(Exception):
    """A bench of a build ended with an error."""


def compare(
    other: Path,
    command: Sequence[str],
    rounds: int,
    names: Sequence[str],
    figure: str,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Medians over `rounds` of one figure of this build and `other`, and their ratio, by rows of these names.

    `command` is that of a bench that tells rows as JSON; `other` is the folder of a checkout.

    Raises:
        BuildFailed: a bench ended with an error.
    """
    taken: dict[str, dict[_Key, list[float]]] = {"this": {}, "other": {}}
    for turn in range(rounds):
        builds = [("this", THIS), ("other", other)]
        # Whoever comes first in a turn has the machine as others left it.
        for name, folder in builds[:: 1 if turn % 2 else -1]:
            progress(f"round {turn + 1} of {rounds}: {folder}")
            for row in _run(folder, command):
                taken[name].setdefault(tuple(row[its] for its in names), []).append(row[figure])
    return compared(taken["this"], taken["other"], names)


def compared(
    this: Mapping[_Key, Sequence[float]], other: Mapping[_Key, Sequence[float]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Medians of both and their ratio, of the rows that both have."""
    rows = []
    for key in this:
        if key in other:
            ours, theirs = median(this[key]), median(other[key])
            figures = {"this": round(ours, 1), "other": round(theirs, 1)}
            ratio = round(ours / theirs, 2) if theirs > 0.0 else None
            rows.append({**dict(zip(names, key, strict=True)), **figures, "ratio": ratio})
    return rows


def _run(folder: Path, command: Sequence[str]) -> list[dict[str, Any]]:
    # Python looks for packages where it is started before it looks anywhere else.
    environment = {**clean_environment(), "PYTHONPATH": str(folder.resolve())}
    start = [sys.executable, "-c", _START, *command]
    done = subprocess.run(start, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"the bench of {folder} failed: {done.stderr.strip()[-500:]}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows
