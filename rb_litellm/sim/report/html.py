"""One page that needs nothing else: tables, claims, and the plots drawn into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rb_litellm.sim.report.blocks import Block, Table
from rb_litellm.sim.report.tables import runs_table
from rb_litellm.sim.results import RunResult

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e3e7ec }
th:first-child, td:first-child { text-align: left }
.scroll { overflow-x: auto } svg { max-width: 100%; height: auto }
.holds { color: #147a3c } .fails { color: #b3261e } .note { color: #5b6675; font-size: .85rem }
"""


def page(
    title: str, results: Sequence[RunResult], plots: Mapping[str, str], blocks: Sequence[Block] = ()
) -> str:
    """The page; `plots` are SVG documents by title."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for block in blocks:
        parts.append(_table(block.table))
        parts += [
            f'<p class="{"holds" if v.holds else "fails"}">{"Holds" if v.holds else "Does not hold"}: '
            f"{escape(v.claim)}: {escape(v.measured)}</p>"
            for v in block.claims
        ]
    for name, svg in plots.items():
        parts.append(f"<h2>{escape(name)}</h2>{svg[svg.index('<svg') :]}")
    parts.append(_table(runs_table(results)))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(c)}</th>" for c in table.columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f"<h2>{escape(table.title)}</h2>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'
    )
