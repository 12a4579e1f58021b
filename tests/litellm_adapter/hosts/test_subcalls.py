"""A further call on behalf of a request is its key's, and leaves alone what is set aside for the request."""

import sys

import pytest
from litellm.proxy._types import UserAPIKeyAuth

from rb_litellm.litellm_adapter.hosts.subcalls import metadata_of_subcall

RESERVED = {"reserved_cost": 1.0}


def metadata():
    caller = UserAPIKeyAuth(api_key="sk-1", max_budget=5.0)
    if "budget_reservation" in UserAPIKeyAuth.model_fields:
        caller.budget_reservation = RESERVED
    return {
        "user_api_key": "hash",
        "user_api_key_auth": caller,
        "user_api_key_budget_reservation": RESERVED,
        "tags": ["batch"],
    }


def test_the_reservation_stays_with_the_request():
    given = metadata()
    found = metadata_of_subcall(given)
    assert "user_api_key_budget_reservation" not in found
    assert getattr(found["user_api_key_auth"], "budget_reservation", None) is None
    assert found["user_api_key_auth"].max_budget == 5.0
    assert (found["user_api_key"], found["tags"]) == ("hash", ["batch"])
    assert given["user_api_key_budget_reservation"] is RESERVED


def test_a_release_without_sub_calls_of_its_own_has_it_taken_out_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "litellm.litellm_core_utils.internal_call_metadata", None)
    assert set(metadata_of_subcall(metadata())) == {"user_api_key", "user_api_key_auth", "tags"}
