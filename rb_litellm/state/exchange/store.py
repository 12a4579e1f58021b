"""The interface through which workers exchange loads. Memory and Redis implement it, with the same tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rb_litellm.core.grade_sums import OF_ABILITIES, Grades, SumRule
from rb_litellm.state.exchange.gauges import Gauge
from rb_litellm.state.exchange.wire import Heard, Told

MAX_LEARNED = 4096
"""Names of which something learned is kept; with more, all is forgotten and told anew."""
MAX_PEERS = 512
"""Other workers that are named at most, in no particular choice; sums have those of all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The loads of a whole fleet, worker by worker."""

    gauges: tuple[Gauge, ...]
    unreadable: tuple[str, ...] = ()
    """Names of workers whose load has another version or is damaged."""


class LoadStore(Protocol):
    """Each worker tells its own load here and gets the sums of all others.

    What a worker told counts for `ttl_s` after it last told anything.
    """

    kind: str
    """memory or redis."""

    async def exchange(self, origin: str, told: Told, ttl_s: float, workers: bool = False) -> Heard:
        """Put `origin`'s load in the place of the one before, and get the sums of all others.

        `workers` asks for each of them by name too. A worker that has just joined may be missing.

        Raises:
            OSError or the store's own errors: the load may or may not have been taken in then.
        """
        ...

    async def share_learned(self, told: Mapping[str, bytes], ttl_s: float) -> dict[str, bytes]:
        """Leave what this worker has learned, by name, and get what all have; kept for `ttl_s` after this.

        Unlike loads it outlives the workers, so that a new one starts from what others learned.
        """
        ...

    async def share_grades(self, told: Grades, rule: SumRule = OF_ABILITIES) -> Grades:
        """Add to the sums of grades, leave those of calls unknown here and take out those now known; get all.

        Sums fade as the rule says, and outlive the workers. The same exchange of a worker counts once.
        """
        ...

    async def remove(self, origin: str) -> None:
        """Take `origin`'s load away, as a worker that ends does."""
        ...

    async def read(self) -> Reading:
        """Read all loads, worker by worker; writes nothing."""
        ...

    async def close(self) -> None:
        """Close connections; the store may be used again afterwards."""
        ...
