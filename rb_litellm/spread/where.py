"""Where work is carried out, as the options of a command say it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rb_litellm.spread.alone import Alone
from rb_litellm.spread.processes import Processes
from rb_litellm.spread.room import default_jobs
from rb_litellm.spread.work import Cell, Result, Shared, Team, Work


@dataclass(frozen=True)
class Where:
    """In so many processes of this machine, or on a cluster."""

    jobs: int | None = 1
    """None for as many as the machine has room for."""
    scheduler: str | None = None
    """Address of a Dask scheduler, in place of processes."""

    @contextmanager
    def team(self, work: Work[Shared, Cell, Result]) -> Iterator[Team[Cell, Result]]:
        """Whoever carries out the work; what was started for it ends with the block.

        Raises:
            SpreadError: the cluster cannot be used.
        """
        if self.scheduler is not None:
            from rb_litellm.spread.dask_cluster import DaskTeam, cluster_client

            with cluster_client(self.scheduler) as client, DaskTeam(work, client) as team:
                yield team
            return
        jobs = self.jobs or default_jobs()
        if jobs > 1:
            processes = Processes(work, jobs)
            if self.jobs is None:
                processes.jobs = default_jobs(len(processes.sent))
            with processes:
                yield processes
            return
        yield Alone(work)


HERE = Where()
"""In this process alone."""
