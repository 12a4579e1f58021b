"""Sums of days and minutes go through the Redis by which workers share their loads, while that is there.

That it is away is told by the exchange of loads: once, and without a traceback, for it is no internal error.
Meanwhile nothing is tried here, and own sums count with what was last read of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from redis.exceptions import RedisError

from rb_litellm.litellm_adapter.shared.exchange.fleet_sums import FleetSums
from rb_litellm.state.exchange.publisher import ExchangeStatus
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.sums import RedisSums

TOLD_AFTER = 20
"""Failures in a row, two a second, after which a Redis that takes loads and no sums is told."""
_log = logging.getLogger("rb_litellm")


class TallyExchange:
    """Of one worker. `failed` counts an internal error."""

    def __init__(self, sums: tuple[FleetSums, ...], failed: Callable[[Exception], None]) -> None:
        self._sums = sums
        self._failed = failed
        self._redis: RedisSums | None = None
        self._in_a_row = 0
        self.errors = 0
        """Times that Redis failed here, since the start."""

    def flush(self, redis: RedisSettings | None, exchange: ExchangeStatus | None) -> None:
        """Tell and read what is due, in the background; nothing without a Redis or while it is away."""
        if redis is None or exchange is None or exchange.mode == "degraded":
            return
        if self._redis is None or self._redis.settings != redis:
            self._redis = RedisSums(redis)
        for sums in self._sums:
            sums.flush(self, exchange.origin, self._ended)

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        """See `Tally`."""
        assert self._redis is not None
        total = await self._redis.tell(name, origin, amount, ttl_s)
        if self._in_a_row >= TOLD_AFTER:
            _log.warning("RouteBalance: workers share what days have cost and minutes asked again")
        self._in_a_row = 0
        return total

    def _ended(self, error: Exception) -> None:
        if not isinstance(error, (RedisError, OSError)):
            self._failed(error)
            return
        self.errors += 1
        self._in_a_row += 1
        if self._in_a_row == TOLD_AFTER:
            _log.warning(
                "RouteBalance: workers cannot share what days have cost and minutes asked (%s); each goes by "
                "its own, and keeps trying",
                type(error).__name__,
            )
