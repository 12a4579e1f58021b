"""The streams of open attempts: which have begun to answer, and how they come on."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

import numpy as np

from rb_litellm.core.servers.streams import Progress, Stream
from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.state.attempt import Attempt, AttemptKey

_ON_PACE = 0.5
"""A stream that has come at this share of the predicted pace, or faster, is not overdue, however long."""


class OpenStreams:
    """By attempt. Guard with the ledger's lock; times in s on its clock."""

    def __init__(self) -> None:
        self._streams: OrderedDict[AttemptKey, Stream] = OrderedDict()
        self._on: dict[int, dict[AttemptKey, Stream]] = {}
        """Those of each server, in the order in which they began,"""
        self._last: dict[int, Progress] = {}
        """and the progress of the last of them."""

    def __len__(self) -> int:
        return len(self._streams)

    def begun(self, key: AttemptKey, stream: Stream, server: int) -> None:
        """The attempt's first token has come from this server."""
        self._streams[key] = stream
        self._on.setdefault(server, {})[key] = stream
        self._last[server] = stream.progress

    def ended(self, key: AttemptKey, server: int) -> int:
        """The attempt is over: the chunks of its stream, 0 where it had none."""
        stream = self._streams.pop(key, None)
        if stream is None:
            return 0
        its = self._on[server]
        del its[key]
        if its:
            self._last[server] = its[next(reversed(its))].progress
        else:
            del self._on[server], self._last[server]
        return stream.progress.chunks

    def latest_chunk_s(self, servers: IntArray) -> FloatArray | None:
        """(N,) when the latest chunk came from each of these servers (N,), of the stream that began last;
        -inf where none is open. None where none is open anywhere."""
        last = self._last
        if not last:
            return None
        return np.array([last[server].latest_s if server in last else -np.inf for server in servers.tolist()])

    def next(self, most: int) -> list[Stream]:
        """At most `most` of them; the next call returns the others first."""
        keys = list(islice(self._streams, most))
        for key in keys:
            self._streams.move_to_end(key)
        return [self._streams[key] for key in keys]

    def has_gone_on(self, attempt: Attempt) -> bool:
        """Whether chunks of the attempt's stream have come since this was last asked."""
        stream = self._streams.get(attempt.key)
        if stream is None:
            return False
        before, attempt.chunks_at_lease = attempt.chunks_at_lease, stream.progress.chunks
        return attempt.chunks_at_lease > before

    def is_on_pace(self, attempt: Attempt, tokens_per_s: float, now: float) -> bool:
        """Whether the attempt's stream comes about as quickly as was predicted."""
        stream = self._streams.get(attempt.key)
        if stream is None or attempt.first_token_s is None:
            return False
        return stream.progress.chunks >= _ON_PACE * (now - attempt.first_token_s) * tokens_per_s
