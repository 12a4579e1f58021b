"""A decision is named in its request at once, and written down when nobody waits for it."""

import copy
import json
import math
from dataclasses import replace

import pytest

from rb_litellm.litellm_adapter.lifecycle.publish_decision import Telling
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.routing_decision import KEY, add_measured
from rb_litellm.telemetry.recorder import Recorder
from tests.telemetry.decisions import LARGE, SMALL, decide, outcome


class Desk:
    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.recorder = Recorder()
        self.telling = Telling(self.recorder, lambda action: action(), self.failures.append)
        self.request = {"metadata": {}}

    def decided(self, call_id="c", assignment=None):
        arrival = Arrival.now("auto", self.request)
        arrival.call_id = call_id
        made = assignment or decide([*SMALL, *LARGE])
        self.telling.decided(arrival, made, attempt=0, tried=(), predictor=None, state_age_s=None)
        self.telling.tell_litellm(arrival, self.request)

    @property
    def told(self):
        return self.request["metadata"][KEY]


@pytest.fixture
def desk():
    return Desk()


async def test_the_request_names_its_decision_at_once_and_its_detail_follows(desk):
    desk.decided()
    assert desk.told["router_type"] == "routebalance"
    assert desk.told["router_model_name"] == "auto"
    assert desk.told["routed_model"] in ("small", "large")
    assert desk.told["score"] > 0.0
    assert desk.told["routebalance"] == {}
    desk.telling.work_off()
    assert desk.told["routebalance"]["call_id"] == "c"
    assert desk.told["signals"]


async def test_the_signals_say_in_few_words_what_weighed_and_which_model_came_next(desk):
    desk.decided()
    record = desk.telling.log.latest("c")
    following = next(one for one in record.top if one["model"] != record.model)
    quality, _, _, *others = desk.told["signals"]
    assert quality == f"quality {record.prediction.quality:.2f}"
    assert others == [
        "quality x 0.33, latency x 0.33, cost x 0.33",
        "8 candidates",
        f"next model: {following['model']} at {following['score']:.2f}",
    ]


async def test_a_choice_that_a_filter_had_removed_is_told_without_a_score(desk):
    made = decide([*SMALL, *LARGE])
    desk.decided(assignment=replace(made, decision=replace(made.decision, score=-math.inf)))
    desk.telling.work_off()
    json.dumps(desk.told, allow_nan=False)
    assert "score" not in desk.told


async def test_whoever_asks_for_the_record_gets_it(desk):
    desk.decided()
    assert desk.telling.log.latest("c").requested == "auto"


async def test_an_outcome_finds_its_record(desk):
    desk.decided()
    desk.telling.finished(outcome("c"))
    assert desk.telling.log.latest("c").outcome is not None


def test_a_thread_without_an_event_loop_tells_all_at_once(desk):
    desk.decided()
    assert desk.told["routebalance"]["call_id"] == "c"


async def test_what_cannot_be_written_down_is_counted_and_the_next_decision_is_told(desk, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(desk.recorder, "_wall", None)
        desk.decided("first")
        desk.telling.work_off()
    assert len(desk.failures) == 1
    desk.decided("second")
    assert desk.telling.log.latest("second") is not None


async def test_a_copy_made_before_the_detail_was_there_gets_it_with_what_was_measured(desk):
    desk.decided()
    logged = {"standard_logging_object": copy.deepcopy(desk.request)}
    desk.telling.finished(outcome("c"))
    add_measured(logged, desk.telling.log.latest("c"))
    detail = logged["standard_logging_object"]["metadata"][KEY]["routebalance"]
    assert detail["call_id"] == "c"
    assert detail["measured"]["closed_by"] == "success-hook"
