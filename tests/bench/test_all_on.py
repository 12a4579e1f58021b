"""The cost of a decision with everything on is told beside that with everything off."""

from __future__ import annotations

from rb_litellm.bench.decisions.all_on import FEATURES, run


def test_every_setting_is_measured_alone_and_with_all_others() -> None:
    rows = run((4,), rounds=1, seed=0)["rows"]
    told = [row["on"] for row in rows]
    assert told[0] == "all off"
    assert {"all on", *FEATURES} < set(told)
    assert {"targets", "hold", "agents", "usd_per_day", "efforts", "cascade", "best of n"} < set(FEATURES)
    assert all(row["cpu_us"] > 0.0 for row in rows)
    assert rows[0]["ratio"] == 1.0
