"""Which rows of a log are calls that a question is about, and why the others are not.

Works on whole frames of texts. A row is left out for the first reason that holds; `why` names it and is null
for the rows that are calls. The reasons in DEFECTS are rows that no LiteLLM should write; the others are
calls of another kind, or ended otherwise, than the question is about.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from functools import lru_cache

import polars as pl

from rb_litellm.core.types import MAX_TOKENS
from rb_litellm.logs.kinds import MARK, kind_of

UNREADABLE = "unreadable"
NO_TIME = "without a time that can be read"
BACKWARDS = "ends before it starts"
NO_TOKENS = "without tokens that can be read"
NO_MODEL = "without a model"
OTHER_KIND = "of another kind"
FAILED = "failed"
CACHED = "answered from a cache"
MOCKED = "mocked"
EVALUATION = "asked by RouteBalance to compare answers"
NO_ANSWER = "without an answer"
DUPLICATE = "logged twice"
OLDER = "older than the latest rows asked for"
DEFECTS = (UNREADABLE, NO_TIME, BACKWARDS, NO_TOKENS, NO_MODEL)
ALLOWED = {
    UNREADABLE: "a row is an object with the columns of LiteLLM_SpendLogs",
    NO_TIME: "startTime and endTime are date and time in ISO 8601",
    BACKWARDS: "endTime is not before startTime",
    NO_TOKENS: f"prompt_tokens and completion_tokens are numbers from 0 to {MAX_TOKENS}",
    NO_MODEL: "model is LiteLLM's name of the model that answered",
}

SAME_MOMENT_S = 0.003
"""Times so near to each other are one moment, noted twice."""
_NO_NAMES = ["", "none", "null"]
"""A model's name that is none, as it stands in the log or as an export writes it."""
_TIMES = ("startTime", "endTime", "completionStartTime")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?", re.I
)
_UNIX = re.compile(r"\d{9,19}(?:\.\d+)?")


def classified(frame: pl.DataFrame, kinds: Collection[str] | None, failed: bool) -> pl.DataFrame:
    """The frame with `start_s`, `end_s`, `first_s`, `tokens_in`, `tokens_out`, `cost` (NaN where it cannot
    be), `kind`, `failed` and `why`. `kinds` None takes all; failed calls and those without an
    answer are left out unless `failed`."""
    told = frame.with_columns(
        *(seconds(frame[name]).alias(f"{name}_s") for name in _TIMES),
        *(
            pl.col(name).cast(pl.Float64, strict=False).alias(f"{name}_n")
            for name in ("prompt_tokens", "completion_tokens", "spend")
        ),
    )
    start, end, first = (pl.col(f"{name}_s") for name in _TIMES)
    incoming, outgoing, spend = (
        pl.col(f"{name}_n") for name in ("prompt_tokens", "completion_tokens", "spend")
    )
    model = pl.col("model").fill_null("").str.strip_chars().str.to_lowercase()
    told = told.with_columns(
        _kinds(told),
        pl.col("cache_hit").str.to_lowercase().is_in(["true", "t", "1"]).fill_null(False).alias("cached"),
        (~pl.col("status").fill_null("").str.strip_chars().str.to_lowercase().is_in(["", "success"])).alias(
            "failed"
        ),
    ).with_columns(
        # LiteLLM's clock tells the end twice for an answer in one piece, a millisecond apart.
        pl.when((pl.col("kind") == "chat") & (first > start) & (first < end - SAME_MOMENT_S))
        .then(pl.lit("stream"))
        .otherwise(pl.col("kind"))
        .alias("kind")
    )
    bad_tokens = _no_amount(incoming, "prompt_tokens") | _no_amount(outgoing, "completion_tokens")
    other = pl.lit(False) if kinds is None else ~pl.col("kind").is_in(list(kinds))
    why = (
        pl.when(pl.col("broken").is_not_null())
        .then(pl.lit(UNREADABLE))
        .when(pl.col("model_id") == MARK)
        .then(pl.lit(EVALUATION))
        .when(pl.col("failed") & pl.lit(not failed))
        .then(pl.lit(FAILED))
        .when(other & (pl.col("kind") != "unknown"))
        .then(pl.lit(OTHER_KIND))
        .when(pl.col("cached"))
        .then(pl.lit(CACHED))
        .when(start.is_null() | end.is_null())
        .then(pl.lit(NO_TIME))
        .when(end < start)
        .then(pl.lit(BACKWARDS))
        .when(bad_tokens)
        .then(pl.lit(NO_TOKENS))
        .when(model.is_in(_NO_NAMES) & ~pl.col("failed"))
        .then(pl.lit(NO_MODEL))
        .when((outgoing.fill_null(0.0) <= 0.0) & pl.lit(not failed))
        .then(pl.lit(NO_ANSWER))
        .otherwise(pl.lit(None, dtype=pl.String))
    )
    return told.with_columns(
        start.alias("start_s"),
        end.alias("end_s"),
        first.alias("first_s"),
        incoming.fill_null(0.0).alias("tokens_in"),
        outgoing.fill_null(0.0).alias("tokens_out"),
        pl.when(spend.is_finite() & (spend >= 0.0)).then(spend).otherwise(float("nan")).alias("cost"),
        why.alias("why"),
    )


def _no_amount(number: pl.Expr, name: str) -> pl.Expr:
    given = pl.col(name).is_not_null() & (pl.col(name) != "")
    return given & ~number.is_between(0.0, MAX_TOKENS).fill_null(False)


def _kinds(frame: pl.DataFrame) -> pl.Expr:
    call_type = pl.col("call_type").fill_null("")
    kinds = {told: kind_of(told, 0.0) for told in frame["call_type"].fill_null("").unique().to_list()}
    kind = call_type.replace(kinds)
    # What is no number is a mistake of one that was written.
    silent = (pl.col("completion_tokens_n") == 0.0).fill_null(False) | (
        pl.col("completion_tokens").fill_null("") == ""
    )
    return (
        pl.when((kind == "unknown") & ~silent).then(pl.lit(kind_of(None, 1.0))).otherwise(kind).alias("kind")
    )


def seconds(texts: pl.Series) -> pl.Series:
    """Times in s since 1970, null where a text is no time; a time without a zone is UTC, as LiteLLM writes
    it."""
    usual = texts.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
    if usual.null_count() == texts.null_count():  # As LiteLLM's endpoints write it, all of them.
        return usual.dt.epoch("us").cast(pl.Float64) / 1e6
    plain = (
        texts.str.strip_suffix("Z")
        .str.strip_suffix("+00:00")
        .str.strip_suffix("+00")
        .str.replace(" ", "T", literal=True)
    )
    parsed = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    found = parsed.dt.epoch("us").cast(pl.Float64) / 1e6
    odd = found.is_null() & texts.is_not_null()
    if odd.any():
        others = pl.Series(
            [_seconds(text) if is_odd else None for text, is_odd in zip(texts, odd, strict=True)],
            dtype=pl.Float64,
        )
        found = found.fill_null(others)
    return found


@lru_cache(maxsize=100_000)
def _seconds(text: str) -> float | None:
    text = text.strip()
    if _UNIX.fullmatch(text):
        # Seconds, milliseconds, microseconds or nanoseconds: which it is shows in the size.
        number = float(text)
        return number / next(unit for unit in (1.0, 1e3, 1e6, 1e9) if number / unit < 1e11 or unit == 1e9)
    found = _ISO.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, part, zone = found.groups()
    try:
        when = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=timezone.utc
        )
    except ValueError:
        return None
    ahead = timedelta()
    if zone and zone[0] in "+-":
        ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
        ahead = -ahead if zone[0] == "-" else ahead
    return (when - ahead).timestamp() + (float(f"0.{part}") if part else 0.0)
