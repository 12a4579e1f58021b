"""What may be asked of many requests together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Maximised = Literal["quality", "speed", "saving"]
Name = Literal["cost_usd_per_1k", "e2e_p95_s", "quality_min"]
NAMES: tuple[Name, ...] = ("cost_usd_per_1k", "e2e_p95_s", "quality_min")
LATE = 0.05
"""Share of the requests that may take longer than `e2e_p95_s`."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Bounds on means and on the 95th percentile over requests, and what is best within them."""

    cost_usd_per_1k: float | None = None
    """The most that 1,000 requests may cost in US dollars."""
    e2e_p95_s: float | None = None
    """The time within which 95 of 100 requests are to be answered."""
    quality_min: float | None = None
    """The least mean of predicted quality."""
    maximise: Maximised = "quality"

    def __post_init__(self) -> None:
        for name in ("cost_usd_per_1k", "e2e_p95_s"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"targets.{name} is {value!r}; allowed is a number above 0")
        if self.quality_min is not None and not 0.0 < self.quality_min <= 1.0:
            raise ValueError(f"targets.quality_min is {self.quality_min!r}; allowed is 0 to 1, without 0")
        if not self.given():
            raise ValueError(f"targets name no bound; give at least one of {', '.join(NAMES)}")

    def given(self) -> dict[Name, float]:
        """The bounds that are set, by name."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}
