"""A worker's note: what it tells beside its load and has no sum, such as what it saw of what fails.

It is told when something in it is new, not in every exchange, and each of the others gets it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rb_litellm.core.targets.book import Told
from rb_litellm.core.types import InstanceState, Seen
from rb_litellm.state.exchange.gauges import encode
from rb_litellm.state.index import DeploymentIndex

_SAME_S = 0.1
"""Times that differ by less are the same."""


class OwnNote:
    """Of one worker."""

    def __init__(self, index: DeploymentIndex) -> None:
        self._index = index
        self._prefixes: frozenset[tuple[int, bytes]] = frozenset()
        self._failing: dict[int, tuple[int, ...]] = {}
        self._targets: dict[str, Told] = {}

    def news(
        self,
        prefixes: Mapping[int, Sequence[bytes]],
        failing: Mapping[int, Seen],
        now: float,
        targets: Mapping[str, Told] = {},
    ) -> bytes | None:
        """The note, a gauge without loads, where something in it is new or has ended; else None."""
        if not (prefixes or failing or targets or self._failing or self._prefixes):
            return None
        sent = frozenset((row, name) for row, names in prefixes.items() for name in names)
        seen = {row: _fixed(one, now) for row, one in failing.items()}
        if sent <= self._prefixes and seen == self._failing and targets == self._targets:
            return None
        self._prefixes, self._failing, self._targets = sent, seen, dict(targets)
        rows = len(self._index)
        return encode(
            self._index,
            InstanceState.idle(rows),
            np.zeros(rows),
            0.0,
            prefixes,
            failing=failing,
            targets=targets,
        )


def _fixed(seen: Seen, now: float) -> tuple[int, ...]:
    """What was seen, its ages made times that stay the same."""
    # What was lost changes with these times.
    times = (
        0 if age_s == -np.inf else round((now + age_s) / _SAME_S)
        for age_s in (seen.failed_s, seen.answered_s, seen.losses.at_s)
    )
    return (seen.failures, seen.answers, *times)
