"""Arrivals of production services: when requests came, how long they were, what they shared."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TypedDict

from rb_litellm.datasets.repository import Files, Source, SourceError
from rb_litellm.datasets.rows import field, read_lines

AZURE = Source("microsoft/vidur", "7d47513363ec447a741ac5e47241580b47724fbf", "MIT")
AZURE_NOTE = (
    "The trace is the Azure LLM inference trace 2023 (conversation), which Microsoft published under\n"
    "CC-BY-4.0 in Azure/AzurePublicDataset; vidur has processed it."
)
MOONCAKE = Source(
    "kvcache-ai/Mooncake", "3b5a594133958449a1feaf1c9e0fc1b553e34a28", "Apache-2.0", "LICENSE-APACHE"
)
_AZURE_FILE = "data/processed_traces/splitwise_conv.csv"
_MOONCAKE_FILE = "FAST25-release/traces/conversation_trace.jsonl"


class Arrival(TypedDict):
    """A request of a trace."""

    arrival_s: float
    input_tokens: int
    output_tokens: int


class SharingArrival(Arrival):
    """A request whose beginning others may share."""

    prefix_blocks: list[int]
    """Ids of 512-token blocks: lists that begin alike are prompts that begin alike."""


def azure_rows(files: Files) -> Iterator[Arrival]:
    """The requests of the trace, in its order."""
    text = files.read(_AZURE_FILE).decode("utf-8", "replace")
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=1):
        try:
            yield {
                "arrival_s": float(row["arrived_at"]),
                "input_tokens": int(row["num_prefill_tokens"]),
                "output_tokens": int(row["num_decode_tokens"]),
            }
        except (KeyError, TypeError, ValueError) as error:  # noqa: PERF203  its row is named
            raise SourceError(
                f"{_AZURE_FILE}, row {number}: is {dict(row)} ({type(error).__name__}: {error}); allowed are "
                "numbers under arrived_at, num_prefill_tokens and num_decode_tokens"
            ) from None


def mooncake_rows(files: Files) -> Iterator[SharingArrival]:
    """The requests of the trace, in its order."""
    for where, row in read_lines(files, _MOONCAKE_FILE):
        yield {
            "arrival_s": field(row, "timestamp", float, where) / 1000.0,
            "input_tokens": field(row, "input_length", int, where),
            "output_tokens": field(row, "output_length", int, where),
            "prefix_blocks": field(row, "hash_ids", list, where),
        }
