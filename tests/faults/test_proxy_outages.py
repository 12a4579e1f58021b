"""Redis fails in every way of the list under a real proxy: no client notices.

The same code as `routebalance bench faults`, which lasts ten seconds per fault and compares decision times.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rb_litellm.bench.outages import CONTROL, run
from rb_litellm.bench.real.redis_faults import FAULTS


@pytest.mark.slow
def test_no_request_fails_whatever_redis_does(tmp_path: Path) -> None:
    rows = run(tmp_path, seconds=1.5)
    assert [row["fault"] for row in rows] == [CONTROL, *FAULTS]
    assert all(row["requests"] > 0 for row in rows)
    assert {row["fault"]: row["failed"] for row in rows if row["failed"]} == {}
