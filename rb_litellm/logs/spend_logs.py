"""Read LiteLLM's spend logs, from its PostgreSQL database or from a file exported from it.

A row is one answered or failed call: when it came, where it went, how many tokens, how long, what it
cost. The source is a `postgresql://` URL, whose table `LiteLLM_SpendLogs` is read in a read-only
transaction, or a file with the same columns: JSON lines (also `.gz`), a JSON list as LiteLLM's
`/spend/logs` gives it, CSV or Parquet. Prompts are there only where LiteLLM stores them
(`store_prompts_in_spend_logs`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rb_litellm.logs.files import LogFileError, rows_of_file

MAX_ROWS = 1_000_000
"""Rows read at most: the latest ones of a database, the first ones of a file."""
_COLUMNS = (
    "request_id", "litellm_call_id", "call_type", "startTime", "endTime", "completionStartTime", "model",
    "model_group", "model_id", "api_base", "prompt_tokens", "completion_tokens", "spend", "cache_hit",
    "status", "session_id", "metadata", "messages", "proxy_server_request",
)  # fmt: skip
_NEEDED = ("startTime", "endTime", "model")
_TABLE = "LiteLLM_SpendLogs"
_SCHEMES = ("postgresql://", "postgres://")


class SpendLogsError(ValueError):
    """Spend logs that cannot be read; names the source, what is wrong and what is allowed."""


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
    failed: bool
    session: str
    body: Mapping[str, Any]
    """The request as the client sent it, empty where LiteLLM does not store it."""
    metadata: Mapping[str, Any]

    @property
    def e2e_s(self) -> float:
        """Time from the proxy's receipt to the end of the answer."""
        return self.end_s - self.start_s


def read_spend_logs(source: str, max_rows: int = MAX_ROWS) -> list[LoggedCall]:
    """Calls by rising start time, answers from a cache left out; at most `max_rows`.

    Raises:
        SpendLogsError: the source cannot be read, lacks columns or has a row that is no call.
    """
    calls = []
    for where, row in _rows(source, max_rows):
        if str(row.get("cache_hit")).lower() == "true":
            continue
        try:
            calls.append(_call(row))
        except (ValueError, TypeError) as error:
            raise SpendLogsError(f"{where}: {error}") from None
    return sorted(calls, key=lambda call: (call.start_s, call.call_id))


def _rows(source: str, max_rows: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if source.startswith(_SCHEMES):
        yield from _database_rows(source, max_rows)
        return
    try:
        for number, row in rows_of_file(Path(source)):
            if number > max_rows:
                return
            yield f"{source}, row {number}", row
    except LogFileError as error:
        raise SpendLogsError(f"{error}; allowed is also a postgresql:// URL") from None


def _database_rows(url: str, max_rows: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        import psycopg
        from psycopg import sql
        from psycopg.rows import dict_row
    except ImportError:
        raise SpendLogsError("reading a database needs psycopg; install 'rb_litellm[train]'") from None
    shown = _shown(url)
    try:
        with psycopg.connect(_plain(url), connect_timeout=10, row_factory=dict_row) as connection:
            connection.read_only = True
            # Older releases lack some columns; what is missing is read as absent.
            there = {
                str(row["column_name"])
                for row in connection.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s", (_TABLE,)
                )
            }
            if missing := [name for name in _NEEDED if name not in there]:
                raise SpendLogsError(f"{shown}: table {_TABLE} lacks {', '.join(missing)}")
            query = sql.SQL("SELECT {} FROM {} ORDER BY {} DESC LIMIT {}").format(
                sql.SQL(", ").join(sql.Identifier(name) for name in _COLUMNS if name in there),
                sql.Identifier(_TABLE),
                sql.Identifier("startTime"),
                sql.Literal(max_rows),
            )
            # A named cursor is read piece by piece, not all at once into memory.
            with connection.cursor(name="routebalance") as cursor:
                cursor.execute(query)
                for number, row in enumerate(cursor, start=1):
                    yield f"{shown}, row {number}", row
    except psycopg.Error as error:
        raise SpendLogsError(f"{shown}: {str(error).strip().splitlines()[0]}") from None


def _call(row: Mapping[str, Any]) -> LoggedCall:
    if missing := [name for name in _NEEDED if row.get(name) in (None, "")]:
        raise ValueError(f"lacks {', '.join(missing)}; allowed are the columns of LiteLLM_SpendLogs")
    start, end = _time(row, "startTime"), _time(row, "endTime")
    if end < start:
        raise ValueError(f"endTime {row['endTime']!r} is before startTime {row['startTime']!r}")
    first = None if row.get("completionStartTime") in (None, "") else _time(row, "completionStartTime")
    # LiteLLM writes the end of the call where there was no stream.
    streamed = first is not None and start <= first < end
    metadata = _object(row.get("metadata"))
    # Tables of older releases have no column for it; `request_id` is the id of the response there.
    call_id = row.get("litellm_call_id") or metadata.get("litellm_call_id") or row.get("request_id")
    return LoggedCall(
        call_id=str(call_id or ""),
        start_s=start,
        end_s=end,
        first_token_s=first if streamed else None,
        model=str(row["model"]),
        group=str(row.get("model_group") or row["model"]),
        deployment=str(row.get("model_id") or row.get("api_base") or row["model"]),
        input_tokens=int(_amount(row, "prompt_tokens")),
        output_tokens=int(_amount(row, "completion_tokens")),
        cost_usd=_amount(row, "spend"),
        failed=str(row.get("status") or "success") != "success",
        session=str(row.get("session_id") or ""),
        body=_object(row.get("proxy_server_request")) or _messages(row.get("messages")),
        metadata=metadata,
    )


def _time(row: Mapping[str, Any], name: str) -> float:
    value = row[name]
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace(" UTC", "").replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(f"{name} is {value!r}; allowed is a date and time in ISO 8601") from None
    if not isinstance(value, datetime):
        raise ValueError(f"{name} is {value!r}; allowed is a date and time")
    # LiteLLM writes UTC into columns without a zone.
    return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()


def _amount(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if value in (None, ""):
        return 0.0
    number = float(str(value))
    if not (math.isfinite(number) and number >= 0.0):
        raise ValueError(f"{name} is {value!r}; allowed is a number of at least 0")
    return number


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _messages(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return {"messages": value} if isinstance(value, list) and value else {}


def _plain(url: str) -> str:
    # Prisma's own URL parameters mean nothing to PostgreSQL.
    return url.partition("?")[0]


def _shown(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
