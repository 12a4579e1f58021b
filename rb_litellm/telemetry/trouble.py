"""What is wrong with a deployment, in words: the same on the status page, in `top` and in the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SLOW = 2.0
"""A deployment this many times slower than predicted is in trouble."""
FAILING = 0.1
"""So is one that fails this share of its latest attempts,"""
FAILED = 2
"""of which at least so many failed. One is enough while none is answered after it: a dead deployment is soon
asked no more."""


def urgency(row: Mapping[str, Any]) -> int:
    """Where a deployment stands in a list of those in trouble: what fails first, then slow, then drifting."""
    if row.get("cooldown") is not None or row.get("failing", 0) > 0:
        return 0
    if row.get("failed", 0) >= FAILED:
        return 1
    return 2 if row.get("slowdown", 1.0) >= SLOW else 3


def deployment_trouble(row: Mapping[str, Any]) -> list[str]:
    """Short sentences about a deployment as `/routebalance/status` has it; none where all is well."""
    told = []
    cooldown, failed, answered = row.get("cooldown"), row.get("failed", 0), row.get("answered", 0)
    if cooldown is not None:
        why = f" after {cooldown['status']}" if cooldown.get("status") else ""
        told.append(f"LiteLLM keeps it out for {cooldown['left_s']:.0f} s more{why}")
    failing = row.get("failing", 0) > 0
    if failing or (failed >= FAILED and failed >= FAILING * (failed + answered)):
        last = row.get("last_error")
        last_told = f", the last one {last['ago_s']:.0f} s ago: {last['error']}" if last else ""
        of = (
            f"{failed} of the last {failed + answered} attempts"
            if failed + answered > 1
            else "the last attempt"
        )
        told.append(f"{of} failed{last_told}")
    # A server that hangs is slow and fails: one of these is enough.
    if row.get("slowdown", 1.0) >= SLOW and not failed:
        told.append(f"{row['slowdown']:.1f} times slower than predicted")
    for figure, ratio in (row.get("drift") or {}).items():
        told.append(f"{figure} is {ratio:.2g} times what is predicted")
    return told
