"""Which call a pick belongs to: the proxy says it, the SDK shows it by task and trace."""

import asyncio
import threading

from rb_litellm.litellm_adapter.lifecycle import calls as calls_module
from rb_litellm.litellm_adapter.lifecycle.calls import Calls


def test_the_proxys_call_id_is_kept():
    request = {"litellm_call_id": "abc", "litellm_trace_id": "t"}
    assert Calls().id_of(request) == "abc"
    assert request["litellm_call_id"] == "abc"


def test_the_sdks_attempts_of_one_request_are_one_call():
    calls = Calls()
    first, retry = {"litellm_trace_id": "t"}, {"litellm_trace_id": "t"}
    assert calls.id_of(first) == calls.id_of(retry)
    assert first["litellm_call_id"] == retry["litellm_call_id"]


def test_after_a_success_the_same_trace_begins_another_call():
    calls = Calls()
    first = calls.id_of({"litellm_trace_id": "t"})
    calls.succeeded(first)
    assert calls.id_of({"litellm_trace_id": "t"}) != first


def test_a_late_success_of_an_earlier_call_does_not_end_the_present_one():
    calls = Calls()
    first = calls.id_of({"litellm_trace_id": "t"})
    calls.succeeded(first)
    second = calls.id_of({"litellm_trace_id": "t"})
    calls.succeeded(first)
    assert calls.id_of({"litellm_trace_id": "t"}) == second


def test_without_call_or_trace_every_pick_is_a_call_of_its_own():
    calls = Calls()
    assert calls.id_of(None) != calls.id_of(None)
    assert calls.id_of({}) != calls.id_of({})


def test_unusable_ids_are_replaced():
    for bad in (None, "", 7, ["x"]):
        request = {"litellm_call_id": bad}
        assert Calls().id_of(request) == request["litellm_call_id"] != bad


async def test_tasks_that_share_a_trace_make_calls_of_their_own():
    calls = Calls()

    async def pick():
        await asyncio.sleep(0)
        return calls.id_of({"litellm_trace_id": "shared"})

    assert len(set(await asyncio.gather(*(pick() for _ in range(5))))) == 5


def test_threads_that_share_a_trace_make_calls_of_their_own():
    calls, ids, together = Calls(), [], threading.Barrier(3)

    def pick():
        together.wait(10.0)
        ids.append(calls.id_of({"litellm_trace_id": "shared"}))
        together.wait(10.0)  # an identity may be used again by a thread that starts later

    threads = [threading.Thread(target=pick) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 3


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(calls_module, "MAX_CALLS", 10)
    calls = Calls()
    ids = [calls.id_of({"litellm_trace_id": f"t{i}"}) for i in range(100)]
    assert len(calls._by_owner) == len(calls._owner) == 10
    assert calls.id_of({"litellm_trace_id": "t99"}) == ids[99]
    assert calls.id_of({"litellm_trace_id": "t0"}) != ids[0]
