"""The interface through which workers exchange gauges. Memory and Redis implement it, with the same tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rb_litellm.core.grade_sums import Grades
from rb_litellm.state.exchange.gauges import StoredGauge

MAX_LEARNED = 4096
"""Names of which something learned is kept; with more, all is forgotten and told anew."""
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

    async def share_learned(self, told: Mapping[str, bytes], ttl_s: float) -> dict[str, bytes]:
        """Leave what this worker has learned, by name, and get what all have; kept for `ttl_s` after this.

        Unlike gauges it outlives the workers, so that a new one starts from what others learned.
        """
        ...

    async def share_grades(self, told: Grades) -> Grades:
        """Add to the sums of grades, leave those of calls unknown here and take out those now known; get all.

        Sums fade as `grade_sums` says, and outlive the workers.
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
