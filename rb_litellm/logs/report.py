"""What became of the rows of a log: which were used, which were left out, why, and one example of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rb_litellm.logs.classify import ALLOWED, DEFECTS, NO_MODEL, UNREADABLE
from rb_litellm.logs.rows import SpendLogsError


@dataclass(slots=True)
class ReadReport:
    """Counts of rows; `left_out` is by (reason, kind), `first` an example of it that names row and value."""

    rows: int = 0
    used: Counter[str] = field(default_factory=Counter)
    """By kind."""
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], str] = field(default_factory=dict)
    without_cost: int = 0
    """Used, but for what they cost: no amount of money is written there."""
    without_request: int = 0
    """Used, but for what was asked: later calls have taken the space for it."""

    def leave_out(self, reason: str, kind: str, rows: int, example: str = "") -> None:
        """Count rows that are not used."""
        if rows:
            self.left_out[reason, kind] += rows
            if example:
                self.first.setdefault((reason, kind), example)

    def raise_if_defect(self) -> None:
        """For `--strict`.

        Raises:
            SpendLogsError: a row is wrong; names it, its value and what is allowed.
        """
        for (reason, kind), example in self.first.items():
            if reason in DEFECTS and self.left_out[reason, kind]:
                raise SpendLogsError(f"{example}; allowed: {ALLOWED[reason]}")

    @property
    def calls(self) -> int:
        """Rows that are used."""
        return self.used.total()

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "rows": self.rows,
            "used": dict(self.used.most_common()),
            "left_out": [
                {"reason": reason, "kind": kind, "rows": rows, "first": self.first.get((reason, kind), "")}
                for (reason, kind), rows in self.left_out.most_common()
            ],
            "without_cost": self.without_cost,
            "without_request": self.without_request,
        }

    def lines(self) -> list[str]:
        """For a terminal: one line for what was read and used, one for each reason."""
        used = ", ".join(f"{rows:,} {kind}" for kind, rows in self.used.most_common())
        told = [f"{self.rows:,} rows read, {self.calls:,} used{f' ({used})' if used else ''}"]
        reasons: dict[str, Counter[str]] = {}
        for (reason, kind), rows in self.left_out.items():
            reasons.setdefault(reason, Counter())[kind] += rows
        for reason, kinds in sorted(reasons.items(), key=lambda item: -item[1].total()):
            by_kind = ", ".join(f"{rows:,} {kind}" for kind, rows in kinds.most_common())
            line = f"left out, {reason}: {kinds.total():,}"
            if reason != UNREADABLE:
                line += f" ({by_kind})"
            if reason in DEFECTS or reason == NO_MODEL:
                line += f"; the first is {self.first.get((reason, kinds.most_common(1)[0][0]), 'not known')}"
            told.append(line)
        if self.without_cost:
            told.append(f"used without their cost, which is no amount of at least 0: {self.without_cost:,}")
        if self.without_request:
            told.append(f"used without what was asked, for which there was no room: {self.without_request:,}")
        return told

    def __str__(self) -> str:
        return "; ".join(self.lines())
