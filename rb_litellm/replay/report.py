"""The report that a manager reads: one page of HTML, which needs nothing else.

It says what was, what would have been, how sure that is, and what it rests on, in this order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

from rb_litellm.new_file import new_file
from rb_litellm.replay.check import GOOD_MEDIAN_ERROR
from rb_litellm.replay.intervals import DAY_S, Interval, Judged, Pieces
from rb_litellm.replay.scenes import Played
from rb_litellm.replay.whatif import Change, Replay

_SAME_QUALITY = 0.005
"""Expected quality that is lower by no more is no lower."""
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --back: #fff;
  --good: #17784a; --bad: #a3341f; --bar: #4a7dbd }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #3a4350; --back: #161b22;
  --good: #5cc693; --bad: #f0917d; --bar: #6fa3e0 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p.lead { font-size: 1.15rem } .soft { color: var(--soft) }
.good { color: var(--good) } .bad { color: var(--bad) } .wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
th:first-child, td:first-child, .text { text-align: left } code { white-space: nowrap }
td small { display: block; color: var(--soft); white-space: nowrap }
tr.was td { font-weight: 600 } svg { margin-top: 1.5rem } .bar { fill: var(--bar) }
"""


def write_report(
    path: Path,
    replay: Replay,
    judged: Sequence[Judged],
    pieces: Pieces,
    document: Mapping[str, Any],
    change: Change,
    played: Sequence[Played] = (),
) -> None:
    """Write the page; `document` is what `--json` prints, `played` are the scenes beside.

    Raises:
        OSError: the file exists or cannot be written.
    """
    with new_file(path) as file:
        file.write(_page(replay, judged, pieces, document, change, played))


def _page(
    replay: Replay,
    judged: Sequence[Judged],
    pieces: Pieces,
    document: Mapping[str, Any],
    change: Change,
    played: Sequence[Played],
) -> str:
    was, others = judged[0], judged[1:]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>What routing would have changed</title><style>{_STYLE}</style></head><body>",
        "<h1>What routing would have changed</h1>",
        f'<p class="soft">{len(replay.calls):,} calls {_when(replay)}</p>',
        f'<p class="lead">{_lead(was, [*others, *_named(played)])}</p>',
        _changes(change),
        "<h2>What was, and what would have been</h2>",
        _runs(was, others),
        _bars(judged),
        _scenes(was, played),
        "<h2>What this rests on</h2>",
        _grounds(pieces, document),
        "<h2>The servers, as the log shows them</h2>",
        _servers(replay, document),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _when(replay: Replay) -> str:
    first, last = (
        datetime.fromtimestamp(replay.calls[place].start_s, timezone.utc).replace(second=0)
        for place in (0, -1)
    )
    if first.date() == last.date():
        return f"of {first.day} {first:%B %Y}, {first:%H:%M} to {last:%H:%M} UTC"
    return f"of {first.day} {first:%B %Y} to {last.day} {last:%B %Y}"


def _lead(was: Judged, others: Sequence[Judged]) -> str:
    """The one sentence: what saves most at no lower quality; where nothing does, what saves most and its
    price."""
    known = [one for one in others if math.isfinite(one.saved_usd_per_month.value)]
    if not known:
        return "No other policy was run on all calls."
    held = [
        one
        for one in known
        if one.quality_change.value >= -_SAME_QUALITY and one.saved_usd_per_month.low > 0.0
    ]
    best = max(held or known, key=lambda one: one.saved_usd_per_month.value)
    saved, change = best.saved_usd_per_month, best.quality_change.value
    if saved.value <= 0.0:
        return (
            f"Nothing that was tried would have cost less than the {_usd(was.usd_per_month.value)} a month."
        )
    how = "no lower" if change >= -_SAME_QUALITY else "<b>lower</b>"
    sure = "" if saved.low > 0.0 else " The interval includes no saving at all."
    name = best.policy[:1].upper() + best.policy[1:]
    return (
        f"<b>{escape(name)}</b> would have saved <b>{_usd(saved.value)}</b> a month "
        f"({_range(saved, _usd)}), of {_usd(was.usd_per_month.value)}, at {how} expected quality "
        f"({best.quality.value:.3f}, it was {was.quality.value:.3f}) and a mean time to the whole answer of "
        f"{best.mean_e2e_s.value:.2f} s (it was {was.mean_e2e_s.value:.2f} s).{sure}"
    )


def _changes(change: Change) -> str:
    if change == Change():
        return ""
    return f"<p>Every line but the first is for a changed cluster: {escape(_said(change))}.</p>"


def _said(change: Change) -> str:
    """The change in words."""
    told = [_counted("without", name, "servers of") for name in change.without]
    told += [_counted("one more", name, "more of") for name in change.add]
    told += [f"{name} at {a:g} and {b:g} USD per million tokens" for name, (a, b) in change.prices.items()]
    told += [f"{name} as it was measured" for name in change.measured]
    told += [f"{change.load:g} times the traffic"] if change.load != 1.0 else []
    return ", ".join(told)


def _counted(lone: str, name: str, many: str) -> str:
    what, mark, count = name.rpartition("=")
    if not mark or not count.isdecimal():
        return f"{lone} {name}"
    if count == "1":
        return f"{'without one' if lone == 'without' else lone} {what}"
    return f"{'without ' if lone == 'without' else ''}{count} {many} {what}"


def _runs(was: Judged, others: Sequence[Judged]) -> str:
    rows = [_row(was, "What was", first=True), *(_row(one, one.policy) for one in others)]
    head = "".join(
        f"<th>{name}</th>"
        for name in ("", "USD a month", "saved a month", "quality, expected", "mean time", "95% within")
    )
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _named(played: Sequence[Played]) -> list[Judged]:
    """The scenes' runs, each with its scene in its name."""
    return [
        replace(one, policy=f"{_said(scene.scene.change)}: {one.policy}")
        for scene in played
        for one in scene.judged
    ]


def _scenes(was: Judged, played: Sequence[Played]) -> str:
    if not played:
        return ""
    return (
        "<h2>With other servers or prices</h2>"
        "<p>The same calls, each line beside what was. Whether a server is worth its money shows only "
        "with what an hour of it costs (<code>--hourly</code>).</p>" + _runs(was, _named(played))
    )


def _row(one: Judged, name: str, first: bool = False) -> str:
    saved = one.saved_usd_per_month
    tone = (
        ""
        if first or not saved.low * saved.high > 0
        else ' class="good"'
        if saved.low > 0
        else ' class="bad"'
    )
    cells = [
        _cell(one.usd_per_month, _usd),
        "<td></td>" if first else _cell(saved, _usd).replace("<td>", f"<td{tone}>"),
        _cell(one.quality, lambda v: f"{v:.3f}"),
        _cell(one.mean_e2e_s, _seconds),
        _cell(one.p95_e2e_s, _seconds),
    ]
    return f"<tr{' class=was' if first else ''}><td>{escape(name)}</td>{''.join(cells)}</tr>"


def _cell(figure: Interval, shown: Any) -> str:
    if not math.isfinite(figure.value):
        return "<td>not known</td>"
    small = f"<small>{_range(figure, shown)}</small>" if math.isfinite(figure.low) else ""
    return f"<td>{shown(figure.value)}{small}</td>"


def _range(figure: Interval, shown: Any) -> str:
    low, high = shown(figure.low), shown(figure.high)
    unit = " s" if high.endswith(" s") else ""
    return f"{low.removesuffix(unit)} to {high}"


def _usd(value: float) -> str:
    digits = 0 if abs(value) >= 1000 else 2 if abs(value) >= 0.01 or value == 0.0 else 5
    return f"{'-' if value < 0 else ''}${abs(value):,.{digits}f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _bars(judged: Sequence[Judged]) -> str:
    """Cost a month, as bars."""
    top = max((one.usd_per_month.value for one in judged), default=0.0)
    if top <= 0.0:
        return ""
    rows = []
    for number, one in enumerate(judged):
        width = 420.0 * one.usd_per_month.value / top
        y = 24 * number
        name = "What was" if number == 0 else one.policy
        rows.append(
            f'<text x="0" y="{y + 15}" fill="currentColor">{escape(name)}</text>'
            f'<rect class="bar" x="260" y="{y + 3}" width="{width:.1f}" height="16"/>'
            f'<text x="{266 + width:.1f}" y="{y + 15}" fill="currentColor">'
            f"{_usd(one.usd_per_month.value)}</text>"
        )
    height = 24 * len(judged)
    return (
        f'<div class="wide"><svg role="img" aria-label="USD a month by policy" width="780" height="{height}" '
        f'font-size="13">{"".join(rows)}</svg></div>'
    )


def _grounds(pieces: Pieces, document: Mapping[str, Any]) -> str:
    error = document["fit"][0]["median_error"]
    told = [
        f"Times and queues are simulated on servers fitted to the log. Repeating the log's own choices there "
        f"is off by {error:.0%} in the median call"
        + (
            "; that is too much for a forecast in seconds: read them as a comparison of policies."
            if error > GOOD_MEDIAN_ERROR
            else "."
        ),
        "Quality is expected, not measured: what is known of the models, or a predictor's word on each "
        "prompt. Judged shadow evaluation measures it.",
        f"Intervals hold 95% of a bootstrap over {pieces.count} {pieces.unit}; months are reckoned from "
        f"{_span(pieces.span_s)} of log.",
        "Prices are those of the log, per token, and those that were given. "
        + (
            f"An hour of a server, busy or not, is reckoned at {_hourly(document['hourly_usd'])}."
            if document["hourly_usd"]
            else "A server of one's own that stands idle costs nothing here; --hourly says what it does."
        ),
    ]
    if pieces.unit != "days":
        told.append("The log has too few days to say how days differ: the intervals are too narrow.")
    log = document["log"]
    out = [f"{one['rows']:,} {one['reason']} ({one['kind']})" for one in log["left_out"]]
    told.append(
        f"Of {log['rows']:,} rows {sum(log['used'].values()):,} were used"
        f"{'; left out: ' if out else ''}{', '.join(out)}."
    )
    if document["quick_calls"]:
        told.append(
            f"{document['quick_calls']:,} calls are left aside: answered too quickly to be a model's."
        )
    told += [
        f"{one['deployment']} is not simulated, with its {one['calls']:,} calls: {one['why']}."
        for one in document["not_simulated"]
    ]
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in told) + "</ul>"


def _span(seconds: float) -> str:
    for unit, length_s in (("days", DAY_S), ("hours", 3600.0)):
        if seconds >= 1.5 * length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{seconds / 60.0:.0f} minutes"


def _hourly(told: Mapping[str, float]) -> str:
    return ", ".join(f"{usd:g} USD ({name})" for name, usd in told.items())


def _servers(replay: Replay, document: Mapping[str, Any]) -> str:
    checks = {one["deployment"]: one for one in document["fit"]}
    head = '<th>server</th><th class="text">model</th>' + "".join(
        f"<th>{name}</th>"
        for name in (
            "calls",
            "first token",
            "per token",
            "USD per million, in / out",
            "off by",
        )
    )
    rows = [
        f'<tr><td>{escape(s.deployment)}</td><td class="text">{escape(s.model)}</td><td>{s.calls:,}</td>'
        f"<td>{s.ttft_s * 1e3:.0f} ms</td><td>{s.tpot_s * 1e3:.1f} ms</td>"
        f"<td>{s.input_usd_per_token * 1e6:.3g} / {s.output_usd_per_token * 1e6:.3g}</td>"
        f"<td>{checks[s.deployment]['median_error']:.0%}</td></tr>"
        for s in replay.servers
        if s.deployment in checks
    ]
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
