"""Every endpoint looks at the caller's role itself, whatever LiteLLM's authentication leaves out."""

from __future__ import annotations

import pytest

from tests.e2e.proxy import Proxy, chat
from tests.security.conftest import METRICS_KEY, key, send

pytestmark = pytest.mark.slow
FOR_ADMINS = ["/", "/status", "/whatif?quality=1&latency=0&cost=0", "/shadow", "/metrics", "/feedback"]
PLAIN = [
    key(),
    key(user_role="customer"),
    key(user_role="internal_user_viewer"),
    key(user_role="team"),
    key(user_role="org_admin"),
    key(user_role=None),
]


@pytest.mark.parametrize("path", [*FOR_ADMINS, "/events"])
@pytest.mark.parametrize("caller", PLAIN, ids=range(len(PLAIN)))
def test_who_is_no_admin_reads_nothing_that_belongs_to_all(proxy: Proxy, path: str, caller: str) -> None:
    refused = send(proxy, caller, f"/routebalance{path}")
    assert refused.status_code == (401 if path == "/" else 403), refused.text
    assert "strict-large" not in refused.text


def test_who_is_no_admin_gives_no_feedback(proxy: Proxy) -> None:
    refused = send(proxy, key(), "/routebalance/feedback", {"call_id": "x", "score": 1.0})
    assert refused.status_code == 403


@pytest.mark.parametrize("path", FOR_ADMINS)
def test_an_admin_reads_them_all(proxy: Proxy, path: str) -> None:
    for caller in (proxy.key, key(user_role="proxy_admin_viewer")):
        assert send(proxy, caller, f"/routebalance{path}").status_code == 200


def test_a_viewer_changes_nothing(proxy: Proxy) -> None:
    grade = {"call_id": "x", "score": 1.0}
    viewer = key(user_role="proxy_admin_viewer")
    assert send(proxy, viewer, "/routebalance/feedback", grade).status_code == 403
    # An admin is admitted; whether the file has room is another test's concern.
    assert send(proxy, proxy.key, "/routebalance/feedback", grade).status_code in (201, 507)


def test_every_key_may_explain_what_it_may_call(proxy: Proxy) -> None:
    assert (
        send(proxy, key("strict", "strict-small"), "/routebalance/explain", chat("strict")).status_code == 200
    )
    assert send(proxy, key("lenient"), "/routebalance/explain", chat("strict")).status_code in (401, 403)


@pytest.mark.parametrize("path", ["/routebalance/explain", "/v1/chat/completions"])
def test_a_refusal_names_what_was_asked_for_and_no_member(proxy: Proxy, path: str) -> None:
    refused = send(proxy, key("strict", user_id="no member"), path, chat("strict"))
    assert 400 <= refused.status_code < 404
    assert "strict-" not in refused.text
    assert "strict" in refused.text


@pytest.mark.parametrize("caller", ["sk-nobody", key(), METRICS_KEY])
def test_a_large_body_is_refused_before_it_is_read(proxy: Proxy, caller: str) -> None:
    body = '{"call_id": "x", "score": 1.0, "x": [' + "1," * 100_000 + "1]}"
    assert send(proxy, caller, "/routebalance/feedback", body).status_code == 413


def test_the_metrics_key_opens_the_metrics_and_nothing_else(proxy: Proxy) -> None:
    assert send(proxy, METRICS_KEY, "/routebalance/metrics").status_code == 200
    for path in (*FOR_ADMINS, "/events"):
        if path != "/metrics":
            assert send(proxy, METRICS_KEY, f"/routebalance{path}").status_code >= 400
    assert send(proxy, METRICS_KEY, "/v1/chat/completions", chat("strict")).status_code >= 400
    assert send(proxy, METRICS_KEY + "x", "/routebalance/metrics").status_code >= 400
