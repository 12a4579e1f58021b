"""What workers share beside their load: whoever keeps it implements one of these for the publisher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rb_litellm.core.grade_sums import Grades
from rb_litellm.core.targets.book import Told
from rb_litellm.core.types import Seen
from rb_litellm.state.exchange.gauges import Gauge


class PrefixShare(Protocol):
    """What workers share about the prompts that deployments have probably cached."""

    def recent(self, now: float) -> Mapping[int, Sequence[bytes]]:
        """Names of prefixes that this worker sent in the last seconds, by row of the index."""

    def receive(self, names: Sequence[bytes], row: int, now: float) -> None:
        """Record that another worker recently sent prompts with these prefixes to the deployment at `row`."""


class LearnedShare(Protocol):
    """What workers tell each other of what they have learned."""

    def tell(self) -> Mapping[str, bytes]:
        """What was learned here since it was last told, by name."""

    def hear(self, learned: Mapping[str, bytes]) -> None:
        """All that workers have told."""


class FailureShare(Protocol):
    """What workers tell each other of deployments that fail."""

    def told(self, now: float) -> Mapping[int, Seen]:
        """What was seen here, by row of the index, with times as minus their ages."""


class GradeShare(Protocol):
    """What workers tell each other of users' grades."""

    on: bool
    """Whether there is anything to tell or to hear."""

    def tell(self) -> Grades:
        """What others do not know yet; it is told again until `hear` was called with it."""

    def hear(self, told: Grades, answer: Grades) -> None:
        """What was told has arrived, and this is what all workers have."""


class UsageShare(Protocol):
    """What workers tell each other of deployments whose requests and tokens of a minute are limited."""

    def recent(self, now: float) -> Mapping[int, tuple[float, float]]:
        """Requests and tokens sent from here in the last minute, by row of the index."""


class TargetShare(Protocol):
    """What workers tell each other of how far requests are beyond targets."""

    def told(self) -> Mapping[str, Told]:
        """Sums of this worker's requests, by the name of the controller."""

    def heard(self, gauges: Sequence[Gauge]) -> None:
        """What others tell anew."""
