"""The interface behind which workers exchange gauges: memory and Redis, under one test suite."""

from __future__ import annotations

from typing import Protocol

from rb_litellm.state.gauges import StoredGauge

MAX_PEERS = 512
"""Other workers that are read; of more, any 512."""


class GaugeStore(Protocol):
    """Where every worker leaves its own gauge and finds those of the others.

    A gauge is gone `ttl_s` after it was last left. A store never merges or edits gauges.
    """

    kind: str
    """memory or redis."""

    async def exchange(self, origin: str, payload: bytes, ttl_s: float) -> list[StoredGauge]:
        """Leave `origin`'s gauge and get those of all others, in one round trip.

        A worker that has just joined may be missing from the first answer after it joined.

        Raises:
            OSError or the store's own errors: nothing is known then of whether the gauge was left.
        """
        ...

    async def remove(self, origin: str) -> None:
        """Take `origin`'s gauge away, as a worker that ends does."""
        ...

    async def read(self) -> list[StoredGauge]:
        """All gauges, for somebody who only looks on."""
        ...

    async def close(self) -> None:
        """Let go of connections; the store may be used again afterwards."""
        ...
