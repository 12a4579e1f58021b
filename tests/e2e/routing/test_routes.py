"""Our endpoints on a real proxy: behind LiteLLM's authentication, by header or by the Admin UI's session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.logs.feedback import read_feedback
from tests.e2e.proxy import Proxy, Servers, chat, running_proxy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def feedback_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback") / "feedback.jsonl"


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory, feedback_file: Path) -> Iterator[Proxy]:
    config = {
        "model_list": [servers.deployment(0, "small"), servers.deployment(1, "large")],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "weights": "cost",
                        "feedback": {"path": str(feedback_file), "learn": True},
                    },
                }
            ]
        },
    }
    with running_proxy(tmp_path_factory.mktemp("routes"), config) as running:
        yield running


def session(proxy: Proxy, signed_with: str | None = None, **claims: object) -> dict[str, str]:
    """The cookie of somebody who has signed in to the Admin UI, signed as LiteLLM signs it."""
    content = {"key": proxy.key, "login_method": "username_password", "exp": time.time() + 600, **claims}
    return {"token": jwt.encode(content, signed_with or proxy.key, algorithm="HS256")}


def status_of_a_decision(proxy: Proxy) -> dict[str, Any]:
    """The status once it counts a decision: one snapshot serves all who ask within half a second."""
    told: dict[str, Any] = {}

    def counted() -> bool:
        with proxy.client() as client:
            told.update(client.get("/routebalance/status?decisions=1").json())
        return bool(told["recent"]["decisions"])

    proxy.child.wait_until(counted, 30.0)
    return told


def test_status_names_the_worker_and_what_it_routes(proxy: Proxy, feedback_file: Path) -> None:
    with proxy.client() as client:
        response = client.get("/routebalance/status")
    assert response.status_code == 200, response.text
    told = response.json()
    assert told["strategies"] == [
        {
            "group": "auto",
            "models": ["small", "large"],
            "arguments": {"weights": "cost", "feedback": {"path": str(feedback_file), "learn": True}},
        }
    ]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-wrong"}], ids=["no-key", "wrong-key"])
def test_whoever_litellm_does_not_admit_is_answered_as_by_its_own_pages(
    proxy: Proxy, headers: dict[str, str]
) -> None:
    response = httpx.get(f"{proxy.url}/routebalance/status", headers=headers)
    litellms = httpx.get(f"{proxy.url}/router/settings", headers=headers)
    assert response.status_code >= 400
    assert response.status_code == litellms.status_code


def test_the_session_of_the_admin_ui_is_enough_to_read(proxy: Proxy) -> None:
    response = httpx.get(f"{proxy.url}/routebalance/status", cookies=session(proxy))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"login_method": None}, id="no-login"),
        pytest.param({"exp": 1.0}, id="expired"),
        pytest.param({"key": "sk-of-nobody"}, id="key-of-nobody"),
        pytest.param({"key": 7}, id="no-key"),
    ],
)
def test_other_tokens_that_litellm_signs_are_no_session(proxy: Proxy, claims: dict[str, object]) -> None:
    response = httpx.get(f"{proxy.url}/routebalance/status", cookies=session(proxy, **claims))
    assert response.status_code >= 400


def test_a_session_that_somebody_else_signed_is_refused(proxy: Proxy) -> None:
    response = httpx.get(f"{proxy.url}/routebalance/status", cookies=session(proxy, signed_with="k" * 40))
    assert response.status_code >= 400


def test_a_key_in_a_header_outranks_the_session(proxy: Proxy) -> None:
    response = httpx.get(
        f"{proxy.url}/routebalance/status",
        cookies=session(proxy),
        headers={"Authorization": "Bearer sk-wrong"},
    )
    assert response.status_code >= 400


def test_top_shows_the_cluster_and_the_decisions_of_a_running_proxy(proxy: Proxy) -> None:
    with proxy.client() as client:
        assert client.post("/v1/chat/completions", json=chat("auto", max_tokens=3)).status_code == 200
    status_of_a_decision(proxy)
    shown = CliRunner().invoke(main, ["top", "--once", "--url", proxy.url, "--key", proxy.key])
    assert shown.exit_code == 0
    for part in ("RouteBalance", "small-0", "large-1", "a random candidate", "auto"):
        assert part in shown.stdout


def test_top_says_what_is_wrong_with_a_key_and_with_an_address(proxy: Proxy) -> None:
    refused = CliRunner().invoke(main, ["top", "--once", "--url", proxy.url, "--key", "sk-wrong"])
    assert refused.exit_code == 1
    assert "admin" in refused.stderr
    away = CliRunner().invoke(main, ["top", "--once", "--url", "http://127.0.0.1:1"])
    assert away.exit_code == 1
    assert "does not answer" in away.stderr


def test_status_tells_the_last_decisions_with_their_candidates(proxy: Proxy) -> None:
    with proxy.client() as client:
        client.post("/v1/chat/completions", json=chat("auto", max_tokens=3))
    told = status_of_a_decision(proxy)
    (decision,) = told["latest"]
    assert {candidate["deployment"] for candidate in decision["top"]} == {"small-0", "large-1"}
    assert {d["id"] for tier in told["tiers"] for d in tier["deployments"]} == {"small-0", "large-1"}
    assert told["recent"]["random"] is not None


def test_feedback_is_kept_by_the_id_of_the_answer(proxy: Proxy, feedback_file: Path) -> None:
    with proxy.client() as client:
        answer = client.post("/v1/chat/completions", json=chat("auto", max_tokens=3))
        call_id = answer.headers["x-litellm-call-id"]
        given = client.post("/routebalance/feedback", json={"call_id": call_id, "score": 0.75})
        wrong = client.post("/routebalance/feedback", json={"call_id": call_id, "score": 7})
        learned = client.get("/routebalance/feedback").json()["learned"]
    assert (given.status_code, wrong.status_code) == (201, 400)
    assert "score is 7; allowed is a number from 0 to 1" in wrong.text
    assert read_feedback(feedback_file) == {call_id: 0.75}
    assert sum(one["grades"] for one in learned.values()) == pytest.approx(1.0, abs=0.2)


def test_feedback_is_taken_from_nobody_without_a_key(proxy: Proxy) -> None:
    sent = {"call_id": "c1", "score": 1}
    assert httpx.post(f"{proxy.url}/routebalance/feedback", json=sent).status_code >= 400
    in_browser = httpx.post(f"{proxy.url}/routebalance/feedback", json=sent, cookies=session(proxy))
    assert in_browser.status_code >= 400
