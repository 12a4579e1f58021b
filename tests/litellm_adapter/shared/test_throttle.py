"""A check is due at first, then once in a while, and at once in another loop."""

import asyncio

from rb_litellm.litellm_adapter.shared.upkeep.throttle import Throttle


async def _due(check):
    return check.due()


async def test_a_check_is_due_at_first_and_again_after_its_time():
    now = [100.0]
    check = Throttle(1.0, lambda: now[0])
    assert [check.due(), check.due()] == [True, False]
    now[0] += 0.9
    assert not check.due()
    now[0] += 0.1
    assert check.due()


def test_a_check_is_due_at_once_in_another_loop():
    check = Throttle(1.0, lambda: 100.0)
    assert [asyncio.run(_due(check)) for _ in range(2)] == [True, True]
