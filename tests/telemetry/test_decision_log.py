"""The log of decisions: the latest by call, recent ones with their score breakdowns, all bounded."""

from rb_litellm.telemetry.records import decision_log
from rb_litellm.telemetry.records.recorder import Recorder
from tests.telemetry.decisions import LARGE, SMALL, outcome, record


def test_the_latest_attempt_of_a_call_is_the_one_returned():
    recorder = Recorder()
    record(recorder, SMALL, attempt=0)
    second = record(recorder, LARGE, attempt=1)
    assert recorder.log.latest("c") is second
    assert recorder.log.latest("unknown") is None


def test_each_attempt_gets_its_own_outcome_in_whatever_order_they_come():
    recorder = Recorder()
    first, second = (record(recorder, SMALL, attempt=n) for n in (0, 1))
    recorder.finished(outcome(attempt=1, output_tokens=5))
    recorder.finished(outcome(attempt=0, error="Timeout"))
    assert first.outcome.error == "Timeout"
    assert second.outcome.output_tokens == 5


def test_an_outcome_without_a_record_changes_nothing():
    recorder = Recorder()
    recorder.finished(outcome("of nobody"))
    assert recorder.log.finish(outcome("of nobody")) is None


def test_recent_decisions_come_newest_first_with_all_they_weighed():
    recorder = Recorder()
    for call in "abc":
        record(recorder, [*SMALL, *LARGE], call_id=call)
    recent = recorder.log.recent(2)
    assert [one.record.call_id for one in recent] == ["c", "b"]
    assert len(recent[0].deployments) == 8 == recent[0].breakdown.scores.size
    assert recorder.log.find("a").record.call_id == "a"
    assert recorder.log.find("z") is None


def test_calls_and_recent_decisions_are_bounded(monkeypatch):
    monkeypatch.setattr(decision_log, "MAX_OPEN", 5)
    monkeypatch.setattr(decision_log, "MAX_RECENT", 3)
    recorder = Recorder()
    for call in range(20):
        record(recorder, SMALL, call_id=str(call))
    assert recorder.log.total == 20
    assert recorder.log.latest("14") is None
    assert recorder.log.latest("15") is not None
    assert len(recorder.log.recent()) == 3


def test_of_finished_attempts_few_records_are_kept_and_all_of_open_ones(monkeypatch):
    monkeypatch.setattr(decision_log, "MAX_FINISHED", 3)
    monkeypatch.setattr(decision_log, "MAX_RECENT", 1)
    recorder = Recorder()
    record(recorder, SMALL, call_id="open")
    for call in range(20):
        record(recorder, SMALL, call_id=str(call))
        recorder.finished(outcome(str(call)))
    kept = [call for call in map(str, range(20)) if recorder.log.latest(call) is not None]
    assert kept == ["17", "18", "19"]
    assert recorder.log.latest("open") is not None


def test_a_call_keeps_its_last_attempt_when_an_earlier_one_is_dropped(monkeypatch):
    monkeypatch.setattr(decision_log, "MAX_FINISHED", 1)
    recorder = Recorder()
    record(recorder, SMALL, attempt=0)
    second = record(recorder, SMALL, attempt=1)
    recorder.finished(outcome(attempt=0, error="Timeout"))
    record(recorder, SMALL, call_id="other")
    recorder.finished(outcome("other"))
    assert recorder.log.latest("c") is second


def test_so_are_the_candidates_they_weighed_but_the_last_decision_is_kept(monkeypatch):
    monkeypatch.setattr(decision_log, "MAX_RECENT_CANDIDATES", 13)
    recorder = Recorder()
    for call in range(10):
        record(recorder, SMALL, call_id=str(call))
    assert [one.record.call_id for one in recorder.log.recent()] == ["9", "8"]
    monkeypatch.setattr(decision_log, "MAX_RECENT_CANDIDATES", 3)
    record(recorder, SMALL, call_id="last")
    assert [one.record.call_id for one in recorder.log.recent()] == ["last"]
