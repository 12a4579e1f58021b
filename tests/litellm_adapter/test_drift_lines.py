"""The process's runtime tells the operator of drift, by one log line, and Prometheus by the same score."""

import logging

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.core.types import Outcome, Prediction
from rb_litellm.litellm_adapter.proxy.metrics_report import MetricsReport
from rb_litellm.litellm_adapter.runtime import Runtime
from rb_litellm.litellm_adapter.worker import Worker

PREDICTED = Prediction(0.5, 50.0, 0.0, 0.2, 0.02, 1.2, 0.0)


def test_a_slow_deployment_is_logged_once_with_what_to_do(caplog):
    runtime = Runtime(clock=lambda: 0.0)
    slow = Outcome("gpu-3", "success", PREDICTED, 10, 0.0, 0.0, open_s=3.6, ttft_s=0.2, tpot_s=0.07)
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        for _ in range(50):
            runtime._learn(slow)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "rb_litellm"]
    assert "3.5 times" in line
    assert "gpu-3" in line
    assert "If it stays" in line
    scores = {(name, kind): track.score for name, kind, track in runtime.drift}
    assert scores[("gpu-3", "tpot")] > scores[("gpu-3", "ttft")] == 0.0


def test_lengths_without_a_predictor_are_the_priors_fault(caplog):
    runtime = Runtime(clock=lambda: 0.0)
    long = Outcome("gpu-3", "success", PREDICTED, 10, 0.0, 0.0, open_s=3.6, output_tokens=400)
    runtime.catalog.facts(
        [{"model_name": "m", "litellm_params": {"model": "hosted_vllm/m"}, "model_info": {"id": "gpu-3"}}]
    )
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        for _ in range(50):
            runtime._learn(long)
    (line,) = [r.getMessage() for r in caplog.records if "output length" in r.getMessage()]
    assert "No predictor is set up, so what is off is the prior" in line


def test_a_deployment_without_an_id_is_called_by_group_and_host(caplog):
    runtime = Runtime(clock=lambda: 0.0)
    digest = "0123456789abcdef" * 4
    params = {"model": "hosted_vllm/m", "api_base": "http://u:p@gpu-3:8000/v1"}
    (facts,) = runtime.catalog.facts(
        [{"model_name": "m", "litellm_params": params, "model_info": {"id": digest}}]
    )
    assert facts.name == "m at gpu-3:8000"
    slow = Outcome(digest, "success", PREDICTED, 10, 0.0, 0.0, open_s=3.6, ttft_s=0.2, tpot_s=0.07)
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        for _ in range(50):
            runtime._learn(slow)
    assert any("m at gpu-3:8000" in record.getMessage() for record in caplog.records)


def test_prometheus_is_told_the_score_of_those_that_are_served():
    worker = Worker(clock=lambda: 0.0)
    runtime = worker.runtime
    for name in ("gpu-3", "gone"):
        for _ in range(50):
            runtime._learn(
                Outcome(name, "success", PREDICTED, 10, 0.0, 0.0, open_s=3.6, ttft_s=0.2, tpot_s=0.07)
            )
    served = Deployment("gpu-3", "m", "hosted_vllm/m", "t", latency_prior("m", hosted=False), 0.0, 0.0)
    told = {(d.model, d.deployment, d.figure): d.score for d in MetricsReport(worker)._drift([served])}
    scores = {(name, kind): track.score for name, kind, track in runtime.drift}
    assert told == {("m", "gpu-3", kind): scores[("gpu-3", kind)] for kind in ("ttft", "tpot")}
