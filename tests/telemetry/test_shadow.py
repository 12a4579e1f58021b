"""The report of shadow mode adds up what served and what would have been chosen, of equal requests."""

import json

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.telemetry.comparing.shadow import summarise

FIGURES = {"quality": 0.5, "e2e_s": 2.0, "ttft_s": 0.1, "cost_usd": 0.002}


def decision(deployment="a", would="b", measured=None, **better):
    told = {
        "deployment": deployment,
        "model": "large",
        "predicted": FIGURES,
        "would": {"deployment": would, "model": "small", **FIGURES, **better},
    }
    return told if measured is None else {**told, "measured": measured}


def test_means_and_changes_are_of_the_same_requests():
    found = summarise([decision(e2e_s=1.0, cost_usd=0.001), decision(would="a", e2e_s=2.0, quality=0.7)])
    assert found["decisions"] == 2
    assert found["moved_share"] == 0.5
    assert found["change"]["e2e_s"] == pytest.approx(-0.25)
    assert found["change"]["quality"] == pytest.approx(0.1)
    assert found["change"]["cost_usd"] == pytest.approx(-0.25)


def test_what_was_measured_stands_beside_what_was_predicted():
    found = summarise([decision(measured={"open_s": 3.0}), decision(measured={"open_s": 9.0, "error": "x"})])
    assert (found["predicted_e2e_s"], found["measured_e2e_s"]) == (2.0, 3.0)


def test_moves_between_models_are_counted():
    assert summarise([decision()] * 3)["moves"] == [{"from": "large", "to": "small", "requests": 3}]


def test_decisions_that_were_not_of_shadow_mode_are_passed_over():
    assert summarise([{"deployment": "a", "predicted": FIGURES}, {}]) == {"decisions": 0}


def log_file(tmp_path, *decisions):
    path = tmp_path / "log.jsonl"
    rows = [
        {
            "request_id": str(n),
            "startTime": "2026-11-01T10:00:00Z",
            "endTime": "2026-11-01T10:00:02Z",
            "model": "m",
            "metadata": json.dumps({"routing_decision": {"routebalance": told}}),
        }
        for n, told in enumerate(decisions)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_command_reads_spend_logs(tmp_path):
    path = log_file(tmp_path, decision(e2e_s=1.0), decision(e2e_s=1.0))
    result = CliRunner().invoke(main, ["shadow-report", "--from-spend-logs", path, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["change"]["e2e_s"] == -0.5
    table = CliRunner().invoke(main, ["shadow-report", "--from-spend-logs", path])
    assert "-50.0%" in table.output


def test_a_log_without_shadow_decisions_says_so(tmp_path):
    result = CliRunner().invoke(main, ["shadow-report", "--from-spend-logs", log_file(tmp_path, {})])
    assert result.exit_code == 1
    assert "mode: shadow" in result.output
