"""What keeping state may cost; times are in `routebalance bench state`, which prints them."""

from rb_litellm.bench.state import memory, redis_costs


def test_memory_stays_flat_over_many_decisions():
    assert min(memory(decisions=16_000, warm_up=16_000)["growth_of_halves_mb"]) < 1.5


def test_a_worker_makes_at_most_ten_round_trips_a_second():
    rows = redis_costs(seconds=1.0)
    for row in rows:
        assert row["round_trips_per_s"] <= 10.0
    idle, busy = rows[:2]
    assert idle["round_trips_per_s"] < busy["round_trips_per_s"]
