"""The interface through which workers exchange gauges. Memory and Redis implement it, with the same tests."""

from __future__ import annotations

from typing import Protocol

from rb_litellm.state.gauges import StoredGauge

MAX_PEERS = 512
"""Other workers whose gauges are read at most, in no particular choice."""


class GaugeStore(Protocol):
    """Each worker writes its own gauge here and reads those of the others.

    A gauge expires `ttl_s` after it was last written. A store never merges or changes gauges.
    """

    kind: str
    """memory or redis."""

    async def exchange(self, origin: str, payload: bytes, ttl_s: float) -> list[StoredGauge]:
        """Write `origin`'s gauge and read those of all others, in one round trip.

        A worker that has just joined may be missing from the first answer.

        Raises:
            OSError or the store's own errors: the gauge may or may not have been written then.
        """
        ...

    async def remove(self, origin: str) -> None:
        """Remove `origin`'s gauge, as a worker that ends does."""
        ...

    async def read(self) -> list[StoredGauge]:
        """Read all gauges; writes nothing."""
        ...

    async def close(self) -> None:
        """Close connections; the store may be used again afterwards."""
        ...
