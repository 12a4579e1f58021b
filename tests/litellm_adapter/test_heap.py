"""The heap is settled once, and only in a LiteLLM proxy."""

import gc
import sys
from types import ModuleType

import pytest

from rb_litellm.litellm_adapter.heap import Heap


@pytest.fixture
def _thawed():
    yield
    gc.unfreeze()


def test_a_process_that_is_no_proxy_is_left_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)
    before = gc.get_freeze_count()
    heap = Heap()
    heap.settle()
    assert not heap.settled
    assert gc.get_freeze_count() == before


@pytest.mark.usefixtures("_thawed")
def test_a_proxy_sets_aside_once_what_it_was_started_with(monkeypatch):
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", ModuleType("proxy_server"))
    before = gc.get_freeze_count()
    heap = Heap()
    heap.settle()
    held = gc.get_freeze_count()
    assert held > before
    kept = [[] for _ in range(1000)]
    heap.settle()
    assert gc.get_freeze_count() == held
    assert len(kept) == 1000
