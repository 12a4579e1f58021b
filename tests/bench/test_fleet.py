"""A very small fleet goes through the benchmark of the exchange, in real processes and with a real Redis."""

import pytest

from rb_litellm.bench.fleet.run import run


@pytest.mark.slow
def test_a_small_fleet_is_measured_without_a_failure():
    [row] = run((4,), (8,), seconds=2.0)["rows"]
    assert (row["workers"], row["deployments"], row["failures"]) == (4, 8, 0)
    assert row["exchanges_per_s_worker"] > 0.0
    assert row["redis_out_mb_s"] >= 0.0
    assert None not in row.values()
