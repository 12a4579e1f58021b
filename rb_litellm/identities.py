"""Which row is whose: a deployment that is edited under its old id is another one, and starts anew.

What serves is told by tier, model, what is served, and prior; the rest may change without another row. A
deployment that becomes what it was before has its old row again. Behind a wildcard (`openai/*`) there are as
many as clients ask for by name, all under one id: each has a row of its own, up to MAX_OF_ONE.
"""

from __future__ import annotations

from hashlib import blake2b

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.types import Outcome
from rb_litellm.state.exchange.gauges import wire_name

MAX_OF_ONE = 64
"""Rows of one deployment; whatever comes after shares the last of them."""
Identity = tuple[str, str, str, LatencyPrior]
"""Tier, model, what serves, prior."""


class Identities:
    """Rows from 0 in the order in which deployments are met. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        """The row of each deployment as it was met last, by its id,"""
        self.by_wire_name: dict[str, int] = {}
        """and by its name on the wire."""
        self.names: list[str] = []
        """By row, what workers call it among themselves."""
        self.several: set[str] = set()
        """Ids of deployments that have several rows."""
        self._of: dict[str, dict[Identity, int]] = {}
        """Rows of each deployment, in the order in which they were met."""
        self._changed_s: dict[str, float] = {}
        """When a deployment was met as another one under its old id."""

    def __len__(self) -> int:
        return len(self.names)

    def row(self, deployment: Deployment) -> int:
        """The row of a deployment: the next one where it was not met before as it is now."""
        identity = deployment.tier, deployment.model, deployment.serves, deployment.prior
        its = self._of.setdefault(deployment.id, {})
        row = its.get(identity)
        if row is None and len(its) >= MAX_OF_ONE:
            return next(reversed(its.values()))
        if row is None:
            row = its[identity] = len(self.names)
            self.names.append(_shared_name(deployment.id, identity))
            if len(its) > 1:
                self.several.add(deployment.id)
            else:
                self._met(deployment.id, row)
        return row

    def met(self, deployment: str, row: int, now: float) -> None:
        """The deployment of this id, one of `several`, is what this row is of."""
        if self.rows[deployment] != row:
            self._changed_s[deployment] = now
            self._met(deployment, row)

    def _met(self, deployment: str, row: int) -> None:
        self.rows[deployment] = self.by_wire_name[wire_name(deployment)] = row

    def row_of(self, outcome: Outcome) -> int | None:
        """The row that an attempt's outcome tells of; None where that is not known."""
        if outcome.sent_to is not None:
            return outcome.sent_to
        row = self.rows.get(outcome.deployment)
        return None if row is None or self._sent_to_another(outcome) else row

    def _sent_to_another(self, outcome: Outcome) -> bool:
        """Whether an attempt was sent to what its deployment was before it was edited."""
        changed_s = self._changed_s.get(outcome.deployment)
        if changed_s is None or outcome.at_s is None:
            return False
        return outcome.at_s - outcome.open_s - (outcome.sending_s or 0.0) < changed_s


def _shared_name(deployment: str, identity: Identity) -> str:
    digest = blake2b(repr(identity).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{wire_name(deployment)}|{digest}"
