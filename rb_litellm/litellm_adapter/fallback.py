"""The fallback rule, for when a decision has failed or none is wanted: the healthy deployment with the fewest
open attempts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.shared.entries.facts import is_drained
from rb_litellm.litellm_adapter.worker import Worker


def is_look(messages: object, input: object, request_kwargs: Mapping[str, Any] | None) -> bool:
    """Whether LiteLLM only looks which deployment a model name may stand for, as it does to count tokens.

    Nothing is sent there, and nobody would tell that it is over.
    """
    return messages is None and input is None and not request_kwargs


def looked_up(worker: Worker, healthy: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The entry for a look, by the fallback rule. Never raises."""
    try:
        with worker.runtime.lock:
            return _fewest_open(worker, healthy)
    except Exception as failure:  # noqa: BLE001  any of them will do
        worker.runtime.failed("decision", failure)
        return healthy[0]


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
            chosen = _fewest_open(worker, healthy, failed)
            worker.accounting.open_unpredicted(arrival, chosen, len(healthy))
    except Exception as failure:  # noqa: BLE001  uncounted is better than unrouted
        runtime.failed("bookkeeping", failure)
    return chosen


def _fewest_open(
    worker: Worker, healthy: Sequence[dict[str, Any]], failed: Collection[str] = ()
) -> dict[str, Any]:
    runtime = worker.runtime
    ids = {str(entry["model_info"]["id"]): entry for entry in healthy}
    untried = [id_ for id_ in ids if id_ not in failed] or list(ids)
    untried = [id_ for id_ in untried if not is_drained(ids[id_])] or untried
    counts = {id_: runtime.ledger.open_count(id_) for id_ in untried}
    least = min(counts.values())
    return ids[runtime.random.choice([id_ for id_, n in counts.items() if n == least])]
