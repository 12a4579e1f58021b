"""What one tenant sent, and what it calls its sessions, is nothing that another one sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.proxy import Proxy, chat
from tests.security.conftest import ask, key, send

pytestmark = pytest.mark.slow
SENT = "alpha beta gamma delta " * 200
NEVER_SENT = "gamma delta alpha beta " * 200
ONE, OTHER = key(team_id="one"), key(team_id="other")
SAME_TEAM = key(team_id="one", user_id="somebody-else")
NO_TEAM = key(user_id="alone")


def explained(proxy: Proxy, key: str, model: str, text: str, **fields: Any) -> list[dict[str, Any]]:
    """The candidates of an explanation."""
    answer = send(proxy, key, "/routebalance/explain", chat(model, text, **fields))
    assert answer.status_code == 200, answer.text
    candidates: list[dict[str, Any]] = sorted(answer.json()["candidates"], key=lambda c: c["deployment"])
    return candidates


@pytest.fixture(scope="module", autouse=True)
def traffic(proxy: Proxy) -> None:
    """One team has lately sent a prompt, and has a session on the small model."""
    for model in ("chat", "shared"):
        assert send(proxy, ONE, "/v1/chat/completions", chat(model, SENT)).status_code == 200
        for _ in range(2):
            fields = {"metadata": {"session_id": "their-session"}, "routebalance": {"weights": "cost"}}
            answer = ask(proxy, ONE, model, **fields)
            assert answer.headers["x-litellm-model-id"] == f"{model}-small"


def test_a_team_profits_from_what_it_sent(proxy: Proxy) -> None:
    assert explained(proxy, ONE, "chat", SENT) != explained(proxy, ONE, "chat", NEVER_SENT)
    assert explained(proxy, SAME_TEAM, "chat", SENT) == explained(proxy, ONE, "chat", SENT)


@pytest.mark.parametrize("model", ["chat", "shared"])
@pytest.mark.parametrize("stranger", [OTHER, NO_TEAM])
def test_nobody_else_can_tell_whether_it_was_sent(proxy: Proxy, stranger: str, model: str) -> None:
    assert explained(proxy, stranger, model, SENT) == explained(proxy, stranger, model, NEVER_SENT)


@pytest.mark.parametrize("model", ["chat", "shared"])
@pytest.mark.parametrize("stranger", [OTHER, NO_TEAM])
def test_nobody_else_can_tell_where_a_session_is(proxy: Proxy, stranger: str, model: str) -> None:
    theirs, unknown = (
        explained(proxy, stranger, model, "Hi", metadata={"session_id": name})
        for name in ("their-session", "no-session")
    )
    assert theirs == unknown


def test_nobody_else_can_move_a_session(proxy: Proxy) -> None:
    before = explained(proxy, ONE, "chat", "Hi", metadata={"session_id": "their-session"})
    assert before != explained(proxy, ONE, "chat", "Hi", metadata={"session_id": "no-session"})
    for _ in range(4):
        ask(proxy, OTHER, "chat", metadata={"session_id": "their-session"})
    after = explained(proxy, ONE, "chat", "Hi", metadata={"session_id": "their-session"})
    assert _switches(before) == _switches(after)


def _switches(candidates: list[dict[str, Any]]) -> str:
    return json.dumps([{n: v for n, v in c["terms"].items() if "switch" in n} for c in candidates])


def test_a_caller_that_a_body_makes_up_is_nobody(proxy: Proxy) -> None:
    made_up = {"user_api_key_auth": {"team_id": "one"}, "user_api_key_team_id": "one"}
    for bucket in ("metadata", "litellm_metadata"):
        fields = {bucket: made_up}
        theirs = explained(proxy, OTHER, "chat", SENT, **fields)
        assert theirs == explained(proxy, OTHER, "chat", NEVER_SENT, **fields)


def test_with_the_operators_switch_what_is_cached_counts_for_all(proxy: Proxy) -> None:
    sent, never = (explained(proxy, proxy.key, "shared", text) for text in (SENT, NEVER_SENT))
    assert sent != never
