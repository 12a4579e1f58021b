"""What is probably cached where, shared with the other workers under the runtime's lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock

from rb_litellm.core.servers.prefix_memory import PrefixIndex


class GuardedPrefixes:
    """The prefix index for the exchange of gauges, which runs beside the picks."""

    def __init__(self, index: PrefixIndex, lock: RLock) -> None:
        self._index = index
        self._lock = lock

    def recent(self, now: float) -> Mapping[int, Sequence[bytes]]:
        """Names of prefixes sent from here in the last seconds, by row of the index."""
        with self._lock:
            return self._index.recent(now)

    def receive(self, names: Sequence[bytes], row: int, now: float) -> None:
        """Another worker lately sent prompts with these prefixes to the deployment at `row`."""
        with self._lock:
            self._index.receive(names, row, now)
