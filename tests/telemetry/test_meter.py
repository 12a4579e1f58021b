"""What Prometheus is told: counted once, in bounded labels, from the records alone."""

from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from rb_litellm.core.latency.drift import ALARM
from rb_litellm.telemetry import meter as meter_module
from rb_litellm.telemetry import metrics as metrics_module
from rb_litellm.telemetry.meter import DeploymentFigures, DriftFigure, Meter, WorkerFigures
from rb_litellm.telemetry.metrics import Metrics
from rb_litellm.telemetry.records.recorder import Recorder
from tests.telemetry.decisions import LARGE, SMALL, deployment, outcome, record

CONFIG = Path(__file__).parents[2] / "config"


class Scrape:
    """A recorder, its meter, and what a scrape of it says."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.meter = Meter(Metrics(self.registry))
        self.recorder = Recorder(self.meter)

    def __getitem__(self, wanted):
        """The sum of a series' samples, of those with the given labels if any: `scrape["name", {...}]`."""
        name, labels = wanted if isinstance(wanted, tuple) else (wanted, {})
        while self.meter.work_off():
            pass
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == f"routebalance_{name}" and labels.items() <= sample.labels.items()
        )

    def serve(self, candidates=SMALL, call_id="c", attempt=0, requested="auto", **measured):
        made = record(self.recorder, candidates, call_id=call_id, attempt=attempt, requested=requested)
        self.recorder.finished(outcome(call_id, attempt, **measured))
        return made


@pytest.fixture
def scrape():
    return Scrape()


def test_every_decision_is_counted_by_model_deployment_and_reason(scrape):
    for i in range(7):
        record(scrape.recorder, [SMALL[0], *LARGE], call_id=str(i), weights="cost")
    assert scrape["decisions_total"] == 7
    assert scrape["decisions_total", {"model": "small", "deployment": "small-0", "reason": "joint"}] == 7
    assert scrape["decision_seconds_count"] == 7


def test_a_retry_and_a_fallback_to_another_model_have_their_own_labels(scrape):
    scrape.serve(attempt=0, requested="auto", error="Timeout")
    scrape.serve(attempt=1, requested="auto", error="Timeout")
    scrape.serve(attempt=2, requested="large")
    assert [scrape["decisions_total", {"fallback": kind}] for kind in ("none", "retry", "fallback")] == [
        1,
        1,
        1,
    ]


def test_predicted_and_measured_are_of_the_same_requests(scrape):
    scrape.serve(call_id="stream", output_tokens=90, ttft_s=0.2)
    scrape.serve(call_id="one piece", output_tokens=90)
    scrape.serve(call_id="failed", error="Timeout")
    scrape.serve(call_id="client left")
    for figure, count in (("ttft_seconds", 1), ("e2e_seconds", 2), ("output_tokens", 2)):
        assert scrape[f"predicted_{figure}_count"] == scrape[f"measured_{figure}_count"] == count
    assert scrape["measured_e2e_seconds_sum"] == 4.0


def test_cost_is_what_was_measured_else_what_was_predicted(scrape):
    scrape.serve(call_id="a", output_tokens=10, cost_usd=0.5)
    predicted = scrape.serve(call_id="b", output_tokens=10).prediction.cost_usd
    assert scrape["cost_usd_total"] == pytest.approx(0.5 + predicted)


def test_the_baseline_is_compared_with_the_same_requests_only(scrape):
    scrape.recorder.baseline.model = "large"
    made = scrape.serve([*SMALL, *LARGE], call_id="a", output_tokens=10, cost_usd=1e-4)
    scrape.serve(SMALL, call_id="no baseline among them", output_tokens=10, cost_usd=1e-4)
    assert scrape["compared_cost_usd_total"] == pytest.approx(1e-4)
    assert scrape["baseline_cost_usd_total"] == pytest.approx(made.baseline.cost_usd)
    assert scrape["cost_usd_total"] == pytest.approx(2e-4)
    assert scrape["baseline_quality_sum"] == pytest.approx(0.9)


def test_service_levels_are_compared_with_what_was_measured(scrape):
    for call, e2e in (("a", 0.5), ("b", 2.0)):
        made = record(scrape.recorder, SMALL, call_id=call)
        made.limits = {"e2e": 1.0, "quality": 0.4}
        scrape.recorder.finished(outcome(call, open_s=e2e, output_tokens=5))
    assert scrape["slo_attempts_total", {"slo": "e2e"}] == 2
    assert scrape["slo_met_total", {"slo": "e2e"}] == 1
    assert scrape["slo_attempts_total", {"slo": "quality"}] == 0


def test_drift_is_shown_for_a_deployments_times_and_a_models_lengths(scrape):
    scrape.meter.show(
        WorkerFigures(
            drift=[DriftFigure("m", "d", "tpot", 13.0), DriftFigure("m", "", "output_tokens", 2.0)],
        )
    )
    assert scrape["drift_score", {"model": "m", "deployment": "d", "figure": "tpot"}] == 13.0
    assert scrape["drift_score", {"model": "m", "deployment": "", "figure": "output_tokens"}] == 2.0


def test_what_is_gone_drifts_no_longer(scrape):
    scrape.meter.show(WorkerFigures(drift=[DriftFigure("m", "d", "tpot", 13.0)]))
    scrape.meter.show(WorkerFigures())
    assert scrape["drift_score"] == 0.0


def test_deployments_beyond_the_bound_tell_the_worst_of_their_drifts(monkeypatch):
    monkeypatch.setattr(metrics_module, "MAX_DEPLOYMENTS", 1)
    scrape = Scrape()
    scores = {"first": 1.0, "second": 9.0, "third": 3.0}
    scrape.meter.show(WorkerFigures(drift=[DriftFigure("m", d, "ttft", s) for d, s in scores.items()]))
    assert scrape["drift_score", {"deployment": "other"}] == 9.0
    scrape.meter.show(WorkerFigures(drift=[DriftFigure("m", "third", "ttft", 3.0)]))
    assert scrape["drift_score", {"deployment": "other"}] == 3.0


def test_the_alert_fires_where_the_log_line_is_written():
    rules = yaml.safe_load((CONFIG / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    (rule,) = [rule for rule in rules if rule["alert"] == "RouteBalanceDrift"]
    assert rule["expr"].endswith(f"(routebalance_drift_score) >= {ALARM:g}")


def figures(**known):
    return DeploymentFigures(
        **{
            "deployment": "d",
            "model": "m",
            "in_flight": 3.0,
            "prefill_tokens": 10.0,
            "decode_tokens": 20.0,
            "wait_s": 0.5,
            "slowdown": 2.0,
            **known,
        }
    )


def test_gauges_show_the_load_of_deployments_and_zero_for_those_that_are_gone(scrape):
    scrape.meter.show(WorkerFigures(deployments=[figures()]))
    assert scrape["deployment_in_flight"] == 3
    assert scrape["deployment_pending_tokens", {"phase": "decode"}] == 20
    assert scrape["deployment_predicted_wait_seconds"] == 0.5
    scrape.meter.show(WorkerFigures(deployments=[]))
    assert scrape["deployment_in_flight"] == 0
    assert scrape["deployment_slowdown_ratio"] == 1


def test_counts_that_are_kept_elsewhere_are_copied(scrape):
    for closed in ({"lease": 2}, {"lease": 2, "stream-end": 5}, {"lease": 3, "stream-end": 5}):
        scrape.meter.show(WorkerFigures(closed=closed, redis_errors=sum(closed.values())))
    assert scrape["attempts_closed_total", {"cause": "lease"}] == 3
    assert scrape["attempts_closed_total", {"cause": "stream-end"}] == 5
    assert scrape["redis_errors_total"] == 8


def test_a_count_that_began_anew_goes_on_from_where_it_was(scrape):
    for errors in (5, 2, 3):
        scrape.meter.show(WorkerFigures(redis_errors=errors))
    assert scrape["redis_errors_total"] == 8


def test_a_predictor_that_was_replaced_is_no_longer_in_use(scrape):
    scrape.meter.show(WorkerFigures(predictors=["one"]))
    scrape.meter.show(WorkerFigures(predictors=["two"]))
    assert scrape["predictor_info", {"version": "one"}] == 0
    assert scrape["predictor_info", {"version": "two"}] == 1


def test_labels_are_bounded_and_nothing_is_lost_beyond_the_bound(monkeypatch):
    monkeypatch.setattr(metrics_module, "MAX_DEPLOYMENTS", 10)
    monkeypatch.setattr(metrics_module, "MAX_MODELS", 4)
    scrape = Scrape()
    for i in range(50):
        record(scrape.recorder, [deployment(f"d{i}", f"m{i}")], call_id=str(i))
    assert scrape["decisions_total"] == 50
    assert scrape["decisions_total", {"deployment": "other"}] == 40
    assert scrape["decisions_total", {"model": "other"}] == 46


def test_the_queue_is_bounded_and_nothing_is_lost_at_the_bound(monkeypatch, scrape):
    monkeypatch.setattr(meter_module, "MAX_QUEUE", 10)
    for i in range(1000):
        record(scrape.recorder, SMALL[:1], call_id=str(i))
    assert len(scrape.meter._queue) <= 10
    assert scrape["decisions_total"] == 1000


def test_no_prompt_reaches_the_metrics(scrape):
    scrape.serve(output_tokens=5)
    while scrape.meter.work_off():
        pass
    assert b"secret" not in generate_latest(scrape.registry)


def test_servers_whose_load_cannot_be_read_are_counted_apart(scrape):
    scrape.meter.show(WorkerFigures(servers_read=3, servers_failing=1))
    assert scrape["servers", {"state": "read"}] == 3
    assert scrape["servers", {"state": "failing"}] == 1


def test_learned_slots_are_shown(scrape):
    scrape.meter.show(WorkerFigures(deployments=[DeploymentFigures("a", "m", slots=2.0)]))
    assert scrape["deployment_slots", {"deployment": "a"}] == 2


def test_how_long_our_work_held_the_event_loop_is_shown_by_part(scrape):
    scrape.meter.show(WorkerFigures(loop_held=[("exchange", 0.003), ("exchange", 0.001), ("decision", 0.02)]))
    assert scrape["loop_hold_seconds_count", {"part": "exchange"}] == 2
    assert scrape["loop_hold_seconds_sum", {"part": "decision"}] == 0.02
