"""Which row is whose: a deployment that is edited under its old id is another one, and starts anew.

What serves is told by tier, model, what is served, and prior; the rest may change without another row. A
deployment that becomes what it was before has its old row again. The row of one that is gone is the next
one's: outcomes that come after that teach nobody. Behind a wildcard (`openai/*`) there are as
many as clients ask for by name, all under one id: each has a row of its own, up to MAX_OF_ONE.
"""

from __future__ import annotations

from collections.abc import Container
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
    """Rows from 0; whoever is met anew has the row of one that is gone, if there is any, else the next.

    Times are in s on one monotonic clock.
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        """The row of each deployment as it was met last, by its id,"""
        self.by_wire_name: dict[str, int] = {}
        """and by its name on the wire."""
        self.names: list[str] = []
        """By row, what workers call it among themselves."""
        self.ids: list[str] = []
        """By row, whose it is; empty where it is nobody's."""
        self.several: set[str] = set()
        """Ids of deployments that have several rows."""
        self._of: dict[str, dict[Identity, int]] = {}
        """Rows of each deployment, in the order in which they were met."""
        self._changed_s: dict[str, float] = {}
        """When a deployment was met as another one under its old id."""
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, deployment: str) -> bool:
        return deployment in self._of

    def row(self, deployment: Deployment) -> tuple[int, bool]:
        """The row of a deployment, and whether it is new: it was not met before as it is now."""
        identity = deployment.tier, deployment.model, deployment.serves, deployment.prior
        its = self._of.setdefault(deployment.id, {})
        row = its.get(identity)
        if row is None and len(its) >= MAX_OF_ONE:
            return next(reversed(its.values())), False
        if row is not None:
            return row, False
        if not self._free:
            self._free.append(len(self.names))
            self.names.append("")
            self.ids.append("")
        row = its[identity] = self._free.pop()
        self.names[row], self.ids[row] = _shared_name(deployment.id, identity), deployment.id
        if len(its) > 1:
            self.several.add(deployment.id)
        else:
            self._met(deployment.id, row)
        return row, True

    def others_than(self, living: Container[str]) -> list[str]:
        """Ids of deployments that were met and are not among these."""
        return [deployment for deployment in self._of if deployment not in living]

    def forget(self, deployment: str) -> list[int]:
        """A deployment is gone: its rows, which others may have from now on."""
        rows = list(self._of.pop(deployment).values())
        del self.rows[deployment]
        if self.by_wire_name.get(wire_name(deployment)) in rows:
            del self.by_wire_name[wire_name(deployment)]
        self.several.discard(deployment)
        self._changed_s.pop(deployment, None)
        for row in rows:
            self.names[row] = self.ids[row] = ""
        self._free += rows
        return rows

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
            return self.still(outcome.sent_to, outcome.deployment)
        row = self.rows.get(outcome.deployment)
        return None if row is None or self._sent_to_another(outcome) else row

    def still(self, row: int, deployment: str) -> int | None:
        """The row, if it is still this deployment's."""
        return row if self.ids[row] == deployment else None

    def _sent_to_another(self, outcome: Outcome) -> bool:
        """Whether an attempt was sent to what its deployment was before it was edited."""
        changed_s = self._changed_s.get(outcome.deployment)
        if changed_s is None or outcome.at_s is None:
            return False
        return outcome.at_s - outcome.open_s - (outcome.sending_s or 0.0) < changed_s


def _shared_name(deployment: str, identity: Identity) -> str:
    digest = blake2b(repr(identity).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{wire_name(deployment)}|{digest}"
