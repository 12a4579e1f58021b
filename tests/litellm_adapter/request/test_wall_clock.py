"""A time of day that is set makes no request an hour old."""

from __future__ import annotations

import pytest

from rb_litellm.litellm_adapter.request import arrival as module
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.wall_clock import REMEMBERED_S, WallClock


class Times:
    """`ahead` is set by whoever sets the clock."""

    def __init__(self) -> None:
        self.steady, self.ahead = 100.0, 1e9

    def wall(self) -> float:
        return self.steady + self.ahead


@pytest.mark.parametrize("set_by_s", [3600.0, -3600.0, 40.0, -40.0])
def test_requests_from_before_and_after_are_as_old_as_they_are(set_by_s: float) -> None:
    times = Times()
    clock = WallClock(times.wall, lambda: times.steady)
    times.steady += 1000.0
    came = times.wall()
    times.steady += 2.0
    assert clock.age_s(came) == pytest.approx(2.0)
    times.ahead += set_by_s
    times.steady += 0.5
    assert clock.age_s(came) == pytest.approx(2.5)
    came_after = times.wall()
    times.steady += 3.0
    assert clock.age_s(came) == pytest.approx(5.5)
    assert clock.age_s(came_after) == pytest.approx(3.0)


def test_drift_is_followed_and_a_time_to_come_is_now() -> None:
    times = Times()
    clock = WallClock(times.wall, lambda: times.steady)
    for _ in range(100):
        times.steady += 10.0
        times.ahead += 0.1
        assert clock.age_s(times.wall() - 1.0) == pytest.approx(1.0)
    times.steady += REMEMBERED_S
    assert clock.age_s(times.wall() + 5.0) == 0.0


def test_a_request_that_comes_as_the_clock_is_set_has_not_waited_for_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = Times()
    monkeypatch.setattr(module, "_CLOCK", WallClock(times.wall, lambda: times.steady))
    asked = {"proxy_server_request": {"arrival_time": times.wall()}}
    times.ahead += 3600.0
    times.steady += 0.01
    assert Arrival.now("small", asked).before_s == pytest.approx(0.01, abs=1e-6)
