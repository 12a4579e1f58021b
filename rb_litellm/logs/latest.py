"""Keep the latest calls of a stream of frames in bounded memory, each once, and count all others."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import polars as pl

from rb_litellm.excerpt import excerpt
from rb_litellm.logs import classify
from rb_litellm.logs.report import ReadReport
from rb_litellm.logs.rows import LONG
from rb_litellm.logs.sources.database_url import shown_source

_KEPT = (
    "source", "row", "at", "request_id", "litellm_call_id", "model", "model_group", "model_id", "api_base",
    "session_id", "start_s", "end_s", "first_s", "tokens_in", "tokens_out", "cost",
    "kind", "failed", *LONG,
)  # fmt: skip
_REQUEST = ("messages", "proxy_server_request")
_KNOWN_BY = ("litellm_call_id", "start_s", "end_s", "model", "model_id", "tokens_in", "tokens_out")
_SLACK = 1.5
"""Rows above the bound, relative to it, that may gather before the latest are picked."""
_SLACK_ROWS = 50_000


class Latest:
    """The latest `max_rows` calls so far."""

    def __init__(
        self, max_rows: int, kinds: Collection[str] | None, failed: bool, report: ReadReport, max_text: int
    ) -> None:
        """`max_text` is for sources that give requests at once, the latest first: bytes kept of them."""
        self.failed = failed
        self._max_rows = max_rows
        self._kinds = kinds
        self._report = report
        self._frames: list[pl.DataFrame] = []
        self._rows = 0
        self._ids: list[pl.Series] = []
        self._usable = 0
        self._text_left = max_text

    @property
    def full(self) -> bool:
        """As many calls as asked for were seen."""
        return self._usable >= self._max_rows

    def add(self, number: int, source: str, frame: pl.DataFrame) -> None:
        """Count the rows of a frame of source `number` and keep what may be among the latest calls."""
        told = classify.classified(frame, self._kinds, self.failed)
        self._report.rows += told.height
        self._count(source, told.filter(pl.col("why").is_not_null()))
        calls = told.filter(pl.col("why").is_null())
        self._usable += calls.height
        if not calls.height:
            return
        calls = self._with_text(calls)
        ids = _ids(calls)
        self._ids.append(ids)
        self._frames.append(
            calls.select(
                pl.lit(number, dtype=pl.Int32).alias("source"), *(pl.col(name) for name in _KEPT[1:]), ids
            )
        )
        self._rows += calls.height
        if self._rows > max(self._max_rows * _SLACK, self._max_rows + _SLACK_ROWS):
            self._frames = [self._picked()]
            self._rows = self._frames[0].height

    def _with_text(self, calls: pl.DataFrame) -> pl.DataFrame:
        """The calls, without what was asked once there is no room for it."""
        if self._text_left > 0:
            sizes = (pl.col(name).str.len_bytes().fill_null(0).sum() for name in _REQUEST)
            self._text_left -= int(calls.select(pl.sum_horizontal(*sizes)).item())
            return calls
        self._report.without_request += calls.filter(
            pl.any_horizontal(pl.col(*_REQUEST).is_not_null())
        ).height
        return calls.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in _REQUEST)

    def by_source(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """What is kept in the end, source by source; counts what was logged twice and what is older."""
        if not self._frames:
            return
        kept = self._picked()
        self._frames = []
        ids = pl.concat(self._ids)
        once = ids.len() - ids.n_unique()
        self._report.leave_out(classify.DUPLICATE, "any", once)
        self._report.leave_out(classify.OLDER, "any", self._usable - once - kept.height)
        for (number,), frame in kept.partition_by("source", as_dict=True, maintain_order=True).items():
            yield int(number), frame

    def _picked(self) -> pl.DataFrame:
        # What stands in two exports is the same; the one that was read first stays.
        rows = pl.concat(self._frames).unique("id", keep="first", maintain_order=True)
        return rows if rows.height <= self._max_rows else rows.top_k(self._max_rows, by="start_s")

    def _count(self, source: str, left_out: pl.DataFrame) -> None:
        if not left_out.height:
            return
        counts = left_out.group_by("why", "kind", maintain_order=True).agg(pl.len(), pl.all().first())
        for row in counts.iter_rows(named=True):
            example = f"{shown_source(source)}, row {row['row']}: {_said(row['why'], row)}"
            kind = "any" if row["why"] == classify.UNREADABLE else row["kind"]
            self._report.leave_out(row["why"], kind, row["len"], example)


def _ids(calls: pl.DataFrame) -> pl.Series:
    """A number for each row, the same for what is logged twice."""
    nameless = calls["request_id"].fill_null("") == ""
    told = calls["request_id"].hash()
    if nameless.any():
        # Such a row is known by what it says, to the fraction of a second.
        told = pl.select(
            pl.when(nameless).then(calls.select(_KNOWN_BY).hash_rows()).otherwise(told)
        ).to_series()
    return told.alias("id")


def _said(why: str, row: dict[str, object]) -> str:
    names = {
        classify.NO_TIME: ("startTime", "endTime"),
        classify.BACKWARDS: ("startTime", "endTime"),
        classify.NO_TOKENS: ("prompt_tokens", "completion_tokens"),
        classify.NO_MODEL: ("call_type", "model"),
        classify.NO_ANSWER: ("completion_tokens",),
        classify.OTHER_KIND: ("call_type",),
        classify.FAILED: ("status",),
        classify.CACHED: ("cache_hit",),
        classify.EVALUATION: ("model_id",),
    }.get(why)
    if names is None:
        return str(row["broken"])[:200]
    return f"{why}: " + ", ".join(f"{name} is {excerpt(row[name])}" for name in names)
