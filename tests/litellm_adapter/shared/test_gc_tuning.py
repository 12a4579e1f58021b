"""The heap is settled once, and only in a LiteLLM proxy; young collections start less often from then on."""

import gc
import sys
from types import ModuleType

import pytest

from rb_litellm.litellm_adapter.shared.upkeep.gc_tuning import YOUNG, GcTuning, set_aside


@pytest.fixture
def _thawed():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_a_process_that_is_no_proxy_is_left_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)
    before = gc.get_freeze_count(), gc.get_threshold()
    heap = GcTuning()
    heap.settle()
    assert not heap.settled
    assert (gc.get_freeze_count(), gc.get_threshold()) == before


@pytest.mark.usefixtures("_thawed")
def test_a_proxy_sets_aside_once_what_it_was_started_with(monkeypatch):
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", ModuleType("proxy_server"))
    before = gc.get_freeze_count()
    heap = GcTuning()
    heap.settle()
    held = gc.get_freeze_count()
    assert held > before
    kept = [[] for _ in range(1000)]
    heap.settle()
    # What was set aside may still end, for its last user lets go of it; what came later stays out.
    assert gc.get_freeze_count() <= held
    assert len(kept) == 1000


@pytest.mark.usefixtures("_thawed")
def test_young_collections_start_less_often_and_others_as_they_did(monkeypatch):
    monkeypatch.delenv("PYTHON_GC_THRESHOLD", raising=False)
    gc.set_threshold(700, 11, 12)
    set_aside()
    assert gc.get_threshold() == (YOUNG, 11, 12)


@pytest.mark.usefixtures("_thawed")
@pytest.mark.parametrize("given", [(0, 10, 10), (50_000, 5, 5)])
def test_a_collector_that_is_off_or_starts_seldom_stays_so(monkeypatch, given):
    monkeypatch.delenv("PYTHON_GC_THRESHOLD", raising=False)
    gc.set_threshold(*given)
    set_aside()
    assert gc.get_threshold() == given


@pytest.mark.usefixtures("_thawed")
def test_thresholds_that_an_operator_gave_to_litellm_hold(monkeypatch):
    monkeypatch.setenv("PYTHON_GC_THRESHOLD", "900,20,20")
    gc.set_threshold(900, 20, 20)
    set_aside()
    assert gc.get_threshold() == (900, 20, 20)
