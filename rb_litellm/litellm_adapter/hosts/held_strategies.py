"""Whether a request that brings a strategy of its own is decided by the one that the operator has set.

A strategy in a request's body never counts where RouteBalance decides. A key's or team's own does, with
two exceptions: where it is RouteBalance as well, the group's own settings hold and not default ones; and
where the group has `member_access: key`, which no other strategy keeps, it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rb_litellm.litellm_adapter.hosts.host import is_ours
from rb_litellm.litellm_adapter.request.rights import own_strategy
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector


def held(own: RouteBalanceSelector | None, request: Mapping[str, Any]) -> bool:
    """Whether `own`, our selector of a model if it has one, decides this request whatever that brings."""
    if own is None:
        return False
    return (
        is_ours(request.get(own_strategy.STRATEGY_FIELD))
        or own.settings.member_access == "key"
        or own_strategy.named_by_body(request)
    )
