"""Rows of deployments: one number per deployment id, so that state can live in arrays."""

from __future__ import annotations

from collections.abc import Container
from threading import Lock

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

MAX_ROWS = 65_536
"""Deployments that a worker can tell apart at a time. Further ones share the last row, so their loads are
added together: less exact, but never negative and bounded."""


class DeploymentIndex:
    """Deployment id -> row, in order of first use. The row of one that is gone is the next one's.

    Each row is on a server. Servers have numbers below twice the number of rows.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows is {max_rows}; allowed is 1 or more")
        self._max_rows = max_rows
        self._rows: dict[str, int] = {}
        self._ids: list[str] = []
        self._servers: IntArray = np.zeros(0, dtype=np.int64)
        self._by_address: dict[str, int] = {}
        self._taken: set[int] = set()
        """The numbers that addresses have."""
        self._shared = False
        self._lock = Lock()
        self._free: list[int] = []
        self.version = 0
        """Changes where a row that is known becomes another deployment's, or nobody's."""

    def row(self, deployment: str) -> int:
        """The deployment's row; it is added on first use."""
        row = self._rows.get(deployment)
        if row is not None:
            return row
        with self._lock:
            row = self._rows.get(deployment)
            if row is None and self._free:
                row = self._free.pop()
                self._ids[row], self._rows[deployment] = deployment, row
                self.version += 1
            elif row is None:
                row = len(self._ids)
                if row >= self._max_rows:
                    return self._max_rows - 1
                self._servers = np.append(self._servers, 2 * row)
                self._ids.append(deployment)
                self._rows[deployment] = row
        return row

    def place(self, deployment: str, address: str) -> None:
        """The deployment is on the server at this address; empty for a server of its own. Cheap if known."""
        row = self.row(deployment)
        server = 2 * row
        if address:
            if len(self._by_address) >= self._max_rows and address not in self._by_address:
                return
            server = self._at(address, row)
        if self._servers[row] != server:
            with self._lock:
                servers = self._servers.copy()
                servers[row] = server
                self._servers = servers
                self._shared = np.unique(servers).size < servers.size

    def _at(self, address: str, row: int) -> int:
        """The number of the server at an address: its first row's, unless another address has that."""
        with self._lock:
            found = self._by_address.get(address)
            if found is None:
                found = 2 * row + 1
                if found in self._taken:
                    self._leave_unused(set(np.delete(self._servers, row).tolist()))
                    found = next(n for n in range(1, 2 * len(self._ids), 2) if n not in self._taken)
                self._by_address[address] = found
                self._taken.add(found)
            return found

    def _leave_unused(self, used: set[int]) -> None:
        """Addresses at which nobody is have no number."""
        self._by_address = {at: server for at, server in self._by_address.items() if server in used}
        self._taken = set(self._by_address.values())

    def forget(self, living: Container[str]) -> list[int]:
        """Deployments other than these are gone, and nothing is open there.

        Returns the rows that are another one's from now on.
        """
        with self._lock:
            # Those beyond the bound share the last row, whoever had it first.
            gone = [id_ for id_, row in self._rows.items() if id_ not in living and row < self._max_rows - 1]
            for deployment in gone:
                row = self._rows.pop(deployment)
                self._ids[row] = ""
            servers = self._servers.copy()
            nobodys = [row for row, id_ in enumerate(self._ids) if not id_]
            servers[nobodys] = 2 * np.array(nobodys, dtype=np.int64)
            self._servers, used = servers, set(servers.tolist())
            self._shared = len(used) < servers.size
            self._leave_unused(used)
            left = sorted(set(nobodys).difference(self._free), reverse=True)
            self._free += left
            self.version += bool(gone)
        return left

    def server(self, row: int) -> int:
        """The number of the server that a row is on."""
        return int(self._servers[row])

    def servers(self, rows: IntArray) -> IntArray:
        """(N,) the numbers of the servers of these rows (N,)."""
        return self._servers.take(rows)

    def by_server(self, figures: FloatArray) -> FloatArray:
        """(N,) for each row the sum of these figures (N,) over all rows on its server."""
        if not self._shared:
            return figures
        servers = self._servers[: figures.size]
        sums: FloatArray = np.bincount(servers, figures)[servers].astype(np.float64, copy=False)
        return sums

    def find(self, deployment: str) -> int | None:
        """The deployment's row, or None if it has none."""
        return self._rows.get(deployment)

    @property
    def ids(self) -> tuple[str, ...]:
        """Deployment ids by row; empty where it is nobody's."""
        return tuple(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
