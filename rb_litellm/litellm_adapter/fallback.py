"""The fallback rule, for when a decision has failed: the healthy deployment with the fewest open attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.shared.catalog import is_drained
from rb_litellm.litellm_adapter.worker import Worker


def fewest_open(
    worker: Worker, arrival: Arrival, healthy: Sequence[dict[str, Any]], error: Exception
) -> dict[str, Any]:
    """The healthy entry with the fewest open attempts of this worker, ties at random.

    A deployment that the call has failed on, or that weighs 0, waits for the others. Never raises.
    """
    runtime = worker.runtime
    runtime.failed("decision", error)
    chosen = healthy[0]
    try:
        with runtime.lock:
            failed = runtime.ledger.failed(arrival.call_id) if arrival.call_id else ()
            ids = {str(entry["model_info"]["id"]): entry for entry in healthy}
            untried = [id_ for id_ in ids if id_ not in failed] or list(ids)
            untried = [id_ for id_ in untried if not is_drained(ids[id_])] or untried
            counts = {id_: runtime.ledger.open_count(id_) for id_ in untried}
            least = min(counts.values())
            chosen = ids[runtime.random.choice([id_ for id_, n in counts.items() if n == least])]
            worker.accounting.open_unpredicted(arrival, chosen, len(healthy))
    except Exception as failure:  # noqa: BLE001  uncounted is better than unrouted
        runtime.failed("bookkeeping", failure)
    return chosen
