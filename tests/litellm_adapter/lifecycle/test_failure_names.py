"""By which name a failure is told on."""

import pytest

from rb_litellm.litellm_adapter.lifecycle.failure_names import CONNECTION, NOT_SENT, failure_name


class InternalServerError(Exception):
    """As LiteLLM has one."""


class RateLimitError(Exception):
    """The same."""


class APIConnectionError(Exception):
    """The same."""


class ConnectError(Exception):
    """As httpx has one."""


def raised(outer, inner=None):
    """`outer` as it is when it was raised while `inner` was being handled."""
    outer.__context__ = inner
    return outer


def test_a_refused_connection_is_found_behind_litellms_error():
    assert failure_name(raised(InternalServerError(), ConnectError())) == "ConnectError"


@pytest.mark.parametrize("inner", [None, ValueError()])
def test_another_error_keeps_its_name(inner):
    assert failure_name(raised(InternalServerError(), inner)) == "InternalServerError"


def test_an_earlier_attempts_refusal_does_not_rename_a_rate_limit():
    assert failure_name(raised(RateLimitError(), ConnectError())) == "RateLimitError"


def test_a_circle_of_causes_ends():
    one, other = InternalServerError(), InternalServerError()
    one.__cause__, other.__cause__ = other, one
    assert failure_name(one) == "InternalServerError"


@pytest.mark.parametrize("inner", [TypeError(), AttributeError(), KeyError("role"), ValueError()])
def test_a_request_that_litellm_cannot_translate_was_not_sent(inner):
    assert failure_name(raised(APIConnectionError(), inner)) == NOT_SENT


@pytest.mark.parametrize("inner", [None, OSError(), TimeoutError(), Exception("an error in an answer")])
def test_a_connection_that_breaks_is_no_mistake_in_a_request(inner):
    assert failure_name(raised(APIConnectionError(), inner)) == CONNECTION
