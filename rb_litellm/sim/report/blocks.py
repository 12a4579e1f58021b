"""What a report is made of, before it is shown on a terminal, in a page or in a README."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim, what was measured, and whether it holds."""

    claim: str
    measured: str
    holds: bool


@dataclass(frozen=True)
class Block:
    """A table with the claims that it decides."""

    table: Table
    claims: tuple[Claim, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        table = self.table
        return {
            "title": table.title,
            "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
            "note": table.note,
            "claims": [{"claim": v.claim, "measured": v.measured, "holds": v.holds} for v in self.claims],
        }

    def as_markdown(self) -> str:
        """As a table and a list."""
        table = self.table
        lines = [
            f"**{table.title}**",
            "",
            "| " + " | ".join(table.columns) + " |",
            "|---|" + "---:|" * (len(table.columns) - 1),
            *("| " + " | ".join(row) + " |" for row in table.rows),
            "",
        ]
        if table.note:
            lines += [table.note, ""]
        lines += [f"- {_mark(v.holds)}: {v.claim}: {v.measured}" for v in self.claims]
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """On a terminal."""
        table = RichTable(title=self.table.title, title_justify="left", caption=self.table.note or None)
        for n, column in enumerate(self.table.columns):
            table.add_column(column, justify="left" if n == 0 else "right", overflow="fold")
        for row in self.table.rows:
            table.add_row(*row)
        console.print(table)
        for claim in self.claims:
            style = "green" if claim.holds else "red"
            console.print(f"[{style}]{_mark(claim.holds)}[/]: {claim.claim}: {claim.measured}")
        console.print()


def _mark(holds: bool) -> str:
    return "holds" if holds else "does not hold"
