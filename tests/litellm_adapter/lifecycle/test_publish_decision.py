"""A decision is named in its request at once, and written down when nobody waits for it."""

import copy
import json
import math
from dataclasses import replace

import pytest

from rb_litellm.litellm_adapter.hosts.host import current
from rb_litellm.litellm_adapter.lifecycle.publish_decision import DecisionPublisher
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.routing_decision import KEY, add_measured
from rb_litellm.telemetry.records.recorder import Recorder
from tests.telemetry.decisions import LARGE, SMALL, decide, outcome


class Publishing:
    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.recorder = Recorder()
        self.publisher = DecisionPublisher(
            self.recorder, lambda action: action(), self.failures.append, current().record_decision
        )
        self.request = {"metadata": {}}

    def decided(self, call_id="c", assignment=None):
        arrival = Arrival.now("auto", self.request)
        arrival.call_id = call_id
        made = assignment or decide([*SMALL, *LARGE])
        self.publisher.decided(arrival, made, attempt=0, tried=(), predictor=None, state_age_s=None)
        self.publisher.tell_litellm(arrival, self.request)

    @property
    def told(self):
        return self.request["metadata"][KEY]


@pytest.fixture
def told_of():
    return Publishing()


async def test_the_request_names_its_decision_at_once_and_its_detail_follows(told_of):
    told_of.decided()
    assert told_of.told["router_type"] == "routebalance"
    assert told_of.told["router_model_name"] == "auto"
    assert told_of.told["routed_model"] in ("small", "large")
    assert told_of.told["score"] > 0.0
    assert told_of.told["routebalance"] == {}
    told_of.publisher.work_off()
    assert told_of.told["routebalance"]["call_id"] == "c"
    assert told_of.told["signals"]


async def test_the_signals_say_in_few_words_what_weighed_and_which_model_came_next(told_of):
    told_of.decided()
    record = told_of.publisher.log.latest("c")
    following = next(one for one in record.top if one["model"] != record.model)
    quality, _, _, *others = told_of.told["signals"]
    assert quality == f"quality {record.prediction.quality:.2f}"
    assert others == [
        "quality x 0.33, latency x 0.33, cost x 0.33",
        "8 candidates",
        f"next model: {following['model']} at {following['score']:.2f}",
    ]


async def test_a_choice_that_a_filter_had_removed_is_told_without_a_score(told_of):
    made = decide([*SMALL, *LARGE])
    told_of.decided(assignment=replace(made, decision=replace(made.decision, score=-math.inf)))
    told_of.publisher.work_off()
    json.dumps(told_of.told, allow_nan=False)
    assert "score" not in told_of.told


async def test_whoever_asks_for_the_record_gets_it(told_of):
    told_of.decided()
    assert told_of.publisher.log.latest("c").requested == "auto"


async def test_an_outcome_finds_its_record(told_of):
    told_of.decided()
    told_of.publisher.finished(outcome("c"))
    assert told_of.publisher.log.latest("c").outcome is not None


def test_a_thread_without_an_event_loop_tells_all_at_once(told_of):
    told_of.decided()
    assert told_of.told["routebalance"]["call_id"] == "c"


async def test_what_cannot_be_written_down_is_counted_and_the_next_decision_is_told(told_of, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(told_of.recorder, "_wall", None)
        told_of.decided("first")
        told_of.publisher.work_off()
    assert len(told_of.failures) == 1
    told_of.decided("second")
    assert told_of.publisher.log.latest("second") is not None


async def test_a_copy_made_before_the_detail_was_there_gets_it_with_what_was_measured(told_of):
    told_of.decided()
    logged = {"standard_logging_object": copy.deepcopy(told_of.request)}
    told_of.publisher.finished(outcome("c"))
    add_measured(logged, told_of.publisher.log.latest("c"))
    detail = logged["standard_logging_object"]["metadata"][KEY]["routebalance"]
    assert detail["call_id"] == "c"
    assert detail["measured"]["closed_by"] == "success-hook"
