"""Which row is whose: a deployment that is edited under its old id is another one, and starts anew.

What serves is told by tier, model, what is served, and prior; the rest may change without another row. A
deployment that becomes what it was before has its old row again.
"""

from __future__ import annotations

from hashlib import blake2b

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.types import Outcome
from rb_litellm.state.exchange.gauges import wire_name

Identity = tuple[str, str, str, LatencyPrior]
"""Tier, model, what serves, prior."""


class Identities:
    """Rows from 0 in the order in which deployments are met. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        """The row of each deployment as it is now, by its id,"""
        self.by_wire_name: dict[str, int] = {}
        """and by its name on the wire."""
        self.names: list[str] = []
        """By row, what workers call it among themselves."""
        self._of: dict[tuple[str, Identity], int] = {}
        self._changed_s: dict[str, float] = {}
        """When a deployment became another one under its old id."""

    def __len__(self) -> int:
        return len(self.names)

    def row(self, deployment: Deployment, now: float) -> int:
        """The row of a deployment: the next one where it was not met before as it is now."""
        identity = deployment.tier, deployment.model, deployment.serves, deployment.prior
        row = self._of.setdefault((deployment.id, identity), len(self.names))
        if row == len(self.names):
            self.names.append(_shared_name(deployment.id, identity))
        if self.rows.get(deployment.id, row) != row:
            self._changed_s[deployment.id] = now
        self.rows[deployment.id] = self.by_wire_name[wire_name(deployment.id)] = row
        return row

    def sent_to_another(self, outcome: Outcome) -> bool:
        """Whether an attempt was sent to what its deployment was before it was edited."""
        changed_s = self._changed_s.get(outcome.deployment)
        if changed_s is None or outcome.at_s is None:
            return False
        return outcome.at_s - outcome.open_s - (outcome.sending_s or 0.0) < changed_s


def _shared_name(deployment: str, identity: Identity) -> str:
    digest = blake2b(repr(identity).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{wire_name(deployment)}|{digest}"
