"""Run once more, by themselves, the tests that failed in the run of pytest before: exit 0 where each passes.

`pytest --last-failed` runs every test where those that failed cannot be found, and calls it a success where
they are skipped. Here they are named to pytest one by one, and each has to pass.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

FAILED = Path(".pytest_cache/v/cache/lastfailed")
"""Where pytest keeps them, by node id: tests, and files that could not be collected."""


class Passed:
    """Node ids of the tests that have passed."""

    def __init__(self) -> None:
        self.tests: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of each phase of a test."""
        if report.when == "call" and report.passed:
            self.tests.add(report.nodeid)

    def holds(self, node: str) -> bool:
        """Whether a test has passed, or any of a file."""
        return node in self.tests or any(test.startswith(f"{node}::") for test in self.tests)


def main() -> int:
    """The exit status."""
    try:
        failed = list(json.loads(FAILED.read_text("utf-8")))
    except (OSError, ValueError) as error:
        print(f"the tests that failed are not known: {error}")
        return 1
    if not failed:
        print("no test has failed: the run before ended for another reason")
        return 1
    passed = Passed()
    # A copy: pytest puts `addopts` into the list that it is given.
    status = int(pytest.main([*failed], plugins=[passed]))
    missed = [node for node in failed if not passed.holds(node)]
    for node in missed:
        print(f"failed, and has not passed since: {node}")
    return status or int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
