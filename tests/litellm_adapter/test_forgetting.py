"""Deployments that are gone are forgotten a few at a time: nothing else waits for it."""

from __future__ import annotations

from rb_litellm.litellm_adapter.runtime import FORGOTTEN_AT_ONCE, Runtime


def test_many_that_are_gone_at_once_are_forgotten_a_few_at_a_time() -> None:
    runtime = Runtime()
    for number in range(2 * FORGOTTEN_AT_ONCE + 10):
        runtime.index.row(f"gone {number}")
    runtime.index.row("served")
    more = [runtime.forget_gone({"served"}) for _ in range(3)]
    assert more == [True, True, False]
    assert [name for name in runtime.index.ids if name] == ["served"]
