"""Rows of deployments: one number per deployment id, so that state can live in arrays."""

from __future__ import annotations

from threading import Lock

MAX_ROWS = 65_536
"""Deployments that a worker can tell apart in its lifetime. Further ones share the last row, so their loads
are added together: less exact, but never negative and bounded."""


class DeploymentIndex:
    """Deployment id -> row, in order of first use. A row is never given up."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows is {max_rows}; allowed is 1 or more")
        self._max_rows = max_rows
        self._rows: dict[str, int] = {}
        self._ids: list[str] = []
        self._lock = Lock()

    def row(self, deployment: str) -> int:
        """The deployment's row; it is added on first use."""
        row = self._rows.get(deployment)
        if row is not None:
            return row
        with self._lock:
            row = self._rows.get(deployment)
            if row is None:
                row = len(self._ids)
                if row >= self._max_rows:
                    return self._max_rows - 1
                self._ids.append(deployment)
                self._rows[deployment] = row
        return row

    def find(self, deployment: str) -> int | None:
        """The deployment's row, or None if it has none."""
        return self._rows.get(deployment)

    @property
    def ids(self) -> tuple[str, ...]:
        """Deployment ids by row."""
        return tuple(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
