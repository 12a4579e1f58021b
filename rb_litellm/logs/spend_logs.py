"""Read LiteLLM's spend logs: the one reader of all commands, for its database and for files exported from it.

A row is one answered or failed call: when it came, where it went, how many tokens, how long, what it
cost. The source is a `postgresql://` URL, whose table `LiteLLM_SpendLogs` is read in a read-only
transaction, or a file with the same columns: JSON lines (also `.gz`), JSON as LiteLLM's endpoints give it,
CSV or Parquet. Several sources are one log; what two of them hold counts once. Prompts are there only where
LiteLLM stores them (`store_prompts_in_spend_logs`).

Rows stream by in frames; only the latest `max_rows` calls that the question is about stay, without their long
columns until the end. Of these the latest keep what was asked, as far as MAX_TEXT reaches. A row that cannot
be used stops nothing: the report says what was left out and why.
"""

from __future__ import annotations

import glob
import heapq
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any

from rb_litellm.logs.kinds import WRITTEN
from rb_litellm.logs.report import ReadReport
from rb_litellm.logs.rows import SpendLogsError
from rb_litellm.logs.sources.database_url import SCHEMES, shown_source

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MAX_ROWS", "WRITTEN", "LoggedCall", "SpendLog", "SpendLogsError", "read_spend_logs"]

MAX_ROWS = 100_000
"""Calls that are kept at most, the latest: with MAX_TEXT of their requests they fit into 1 GB."""
MAX_TEXT = 200_000_000
"""Characters of requests that are kept together, those of the latest calls."""


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One call as LiteLLM logged it. Times in s since 1970, by the proxy's clock."""

    call_id: str
    start_s: float
    end_s: float
    first_token_s: float | None
    """None for answers in one piece."""
    model: str
    """LiteLLM's model name."""
    group: str
    """Model group that was asked for."""
    deployment: str
    """LiteLLM's model id; the API base or the model where the log has none."""
    input_tokens: int
    output_tokens: int
    cost_usd: float
    """NaN where the log holds no amount."""
    failed: bool
    session: str
    kind: str = "chat"
    aborted: bool = False
    """The client left before the answer's end."""
    body_text: str = field(default="", repr=False)
    metadata_text: str = field(default="", repr=False)

    @property
    def e2e_s(self) -> float:
        """Time from the proxy's receipt to the end of the answer."""
        return self.end_s - self.start_s

    @property
    def body(self) -> Mapping[str, Any]:
        """The request as the client sent it, empty where LiteLLM does not store it; parsed anew each time."""
        return _object(self.body_text)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What LiteLLM notes beside the call, where RouteBalance decided; else empty, to save memory."""
        return _object(self.metadata_text)


@dataclass(frozen=True, slots=True)
class SpendLog:
    """The calls of a log that a question is about, and what became of its other rows."""

    calls: list[LoggedCall]
    """By rising start time."""
    report: ReadReport


def read_spend_logs(
    sources: str | Sequence[str],
    max_rows: int = MAX_ROWS,
    *,
    kinds: Collection[str] | None = WRITTEN,
    failed: bool = False,
    strict: bool = False,
) -> SpendLog:
    """The latest `max_rows` calls of these kinds (None: all), failed ones, and those without an
    answer, only if `failed`.

    Raises:
        SpendLogsError: a source cannot be read or, with `strict`, has a row that is wrong.
    """
    try:
        from rb_litellm.logs.latest import Latest
    except ImportError:
        raise SpendLogsError("reading spend logs needs polars; install 'rb_litellm[train]'") from None
    report = ReadReport()
    latest = Latest(max_rows, kinds, failed, report, MAX_TEXT)
    named = [name for given in ([sources] if isinstance(sources, str) else sources) for name in _named(given)]
    for number, source in enumerate(named):
        for frame in _frames(source):
            latest.add(number, source, frame)
            if strict:
                report.raise_if_defect()
            if latest.full and source.startswith(SCHEMES):
                break  # a database gives its latest rows first
    calls = _with_latest_text(_calls(latest, named, report), report)
    return SpendLog(sorted(calls, key=lambda call: (call.start_s, call.call_id)), report)


def _with_latest_text(calls: Iterator[LoggedCall], report: ReadReport) -> list[LoggedCall]:
    """The calls, those that are too old for MAX_TEXT without their request."""
    kept: list[LoggedCall] = []
    oldest_first: list[tuple[float, int]] = []
    chars = 0
    for call in calls:
        kept.append(call)
        if call.body_text:
            heapq.heappush(oldest_first, (call.start_s, len(kept) - 1))
            chars += len(call.body_text)
        while chars > MAX_TEXT:
            _, at = heapq.heappop(oldest_first)
            chars -= len(kept[at].body_text)
            kept[at] = replace(kept[at], body_text="")
            report.without_request += 1
    return kept


def _named(source: str) -> list[str]:
    """The sources that a name with wildcards stands for."""
    if source.startswith(SCHEMES) or not glob.has_magic(source) or Path(source).exists():
        return [source]
    found = sorted(glob.glob(source, recursive=True))
    if not found:
        raise SpendLogsError(f"{source}: no file has such a name")
    return found


def _frames(source: str) -> Iterator[pl.DataFrame]:
    if source.startswith(SCHEMES):
        from rb_litellm.logs.sources.database import frames_of_database

        return frames_of_database(source)
    from rb_litellm.logs.sources.exports import frames_of_file

    return frames_of_file(Path(source))


def _calls(latest: Any, named: Sequence[str], report: ReadReport) -> Iterator[LoggedCall]:
    from rb_litellm.logs.classify import FAILED, MOCKED
    from rb_litellm.logs.sources.exports import long_columns

    for number, frame in latest.by_source():
        # In the file's order, for then it is read from its start to its end.
        frame = frame.sort("row")
        places = frame["at"].drop_nulls().to_list()
        fetched = long_columns(Path(named[number]), places)
        for row in frame.iter_rows(named=True):
            if row["at"] is not None:
                row["metadata"], row["messages"], row["proxy_server_request"] = next(fetched)
            call, reason = _call(row), None
            if "mock_response" in call.body_text and "mock_response" in call.body:
                reason = MOCKED
            elif call.failed and not latest.failed:
                reason = FAILED
            if reason:
                report.leave_out(reason, call.kind, 1, f"{shown_source(named[number])}, row {row['row']}")
            else:
                report.used[call.kind] += 1
                report.without_cost += math.isnan(call.cost_usd)
                yield call


def _call(row: Mapping[str, Any]) -> LoggedCall:
    start, end, first = row["start_s"], row["end_s"], row["first_s"]
    metadata = row["metadata"] or ""
    told = _object(metadata)
    # Tables of older releases have no column for it; `request_id` is the id of the response there.
    call_id = row["litellm_call_id"] or told.get("litellm_call_id") or row["request_id"]
    body = row["proxy_server_request"] or ""
    if not _object(body):
        messages = row["messages"] or ""
        body = f'{{"messages": {messages}}}' if messages.lstrip().startswith("[{") else ""
    # LiteLLM writes the end of the call, or a moment before it, where there was no stream.
    streamed = first is not None and start <= first < end and _may_stream(_object(body))
    kind = "chat" if row["kind"] == "stream" and not streamed else row["kind"]
    return LoggedCall(
        call_id=str(call_id or ""),
        start_s=start,
        end_s=end,
        first_token_s=first if streamed else None,
        # Few names stand in many rows: each is held once.
        model=intern(row["model"] or ""),
        group=intern(row["model_group"] or row["model"] or ""),
        deployment=intern(row["model_id"] or row["api_base"] or row["model"] or ""),
        input_tokens=int(row["tokens_in"]),
        output_tokens=int(row["tokens_out"]),
        cost_usd=row["cost"],
        # Older releases have no column for it.
        failed=bool(row["failed"]) or told.get("status") == "failure",
        session=intern(row["session_id"] or ""),
        kind=intern(kind),
        aborted=bool(told.get("client_disconnected")),
        body_text=body,
        metadata_text=metadata if "routebalance" in metadata else "",
    )


def _may_stream(body: Mapping[str, Any]) -> bool:
    """Whether the request may have asked for a stream: unless it is stored and says that it did not."""
    return body.get("stream") is not False


def _object(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(text)
        # An object that was exported as a text within a text.
        value = json.loads(value) if isinstance(value, str) and value else value
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
