"""Wherever an address is shown, its user, password and query are not."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.config import RedisSettingsArgs, SettingsError, parse_deployment, parse_settings
from rb_litellm.litellm_adapter.proxy.status import strategies
from rb_litellm.logs.sources.database_url import shown_source
from rb_litellm.redaction import one_line, shown_address, without_secrets
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.telemetry.records.log_lines import SafeLines

SECRET = "s3cret"
# A password as it stands in an address, percent-encoded as it should be or not.
PASSWORDS = [SECRET, f"a/{SECRET}", f"a?{SECRET}", f"a#{SECRET}", f"a@{SECRET}", f"a:{SECRET}", f"{SECRET}/b"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@gpu:8000/metrics?key=k#f", "http://gpu:8000/metrics"),
        ("http://gpu/metrics", "http://gpu/metrics"),
        ("http://u:p@[::1", "(an address that cannot be read)"),
        ("http://gpu/a\nb", "http://gpu/ab"),
        ("u:p@gpu:6379", "gpu:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert shown_address(url) == shown


def test_addresses_within_a_text_are_too() -> None:
    told = one_line(without_secrets("404, url='http://u:p@gpu/metrics?key=k'\nno"))
    assert told == "404, url='http://gpu/metrics?...'\\x0ano"


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["http", "redis", "postgresql", ""]))
def test_whatever_stands_around_it_a_password_is_not_shown(before: str, after: str, scheme: str) -> None:
    url = (
        f"{scheme}://user:{before}{SECRET}{after}@host/path" if scheme else f"user:{before}{SECRET}{after}@h"
    )
    assert SECRET not in shown_address(url)


def _error(call: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as refused:
        call()
    return str(refused.value)


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_error_repeats_a_password(password: str) -> None:
    url = f"redis://user:{password}@redis:6379/0"
    wrong: list[dict[str, Any]] = [
        {"redis": url},
        {"redis": {"url": {"is": url}}},
        {"redis": {"adress": url}},
        {"redis": {"password": password}},
        {"weights": url},
        {"redis": {"url": "x" * 300 + url}, "weights": "none"},
    ]
    told = [_error(lambda args=args: parse_settings(args, "routing_strategy_args")) for args in wrong]  # type: ignore[misc]
    told.append(_error(lambda: parse_deployment({"scrape": url}, "model_info.routebalance")))
    told.append(_error(lambda: RedisSettings.resolve(RedisSettingsArgs(url="https" + url[5:]), {}, {})))
    nodes = {"startup_nodes": [{"hots": "redis", "password": password}]}
    told.append(_error(lambda: RedisSettings.resolve(RedisSettingsArgs(), nodes, {})))
    assert not any(SECRET in one for one in told), told


@pytest.mark.parametrize("password", PASSWORDS)
def test_neither_redis_nor_a_database_is_shown_with_its_password(password: str) -> None:
    url = f"user:{password}@server:6379/0"
    assert SECRET not in RedisSettings(url=f"redis://{url}").shown
    assert SECRET not in repr(RedisSettings(host="redis", password=password))
    assert SECRET not in shown_source(f"postgresql://{url}?password={password}")


class _Router:
    def get_settings(self) -> dict[str, Any]:
        return {"routing_strategy": "routebalance", "routing_strategy_args": {"redis": {"url": SECRET}}}


def test_the_status_does_not_tell_the_address_of_redis() -> None:
    assert strategies(_Router())[0]["arguments"] == {"redis": {"url": "(set)"}}


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_log_line_has_no_password_not_even_in_a_traceback(password: str) -> None:
    written = io.StringIO()
    logger = logging.Logger("rb_litellm")
    logger.addFilter(SafeLines())
    logger.addHandler(logging.StreamHandler(written))
    try:
        raise ConnectionError(f"no route to redis://user:{password}@redis:6379\nFORGED\x1b[31m line")
    except ConnectionError as error:
        logger.error("%s failed", f"http://user:{password}@gpu", exc_info=error)
    told = written.getvalue()
    assert SECRET not in told
    assert "ConnectionError: no route to redis://redis:6379" in told
    assert "\x1b" not in told
    assert all(line.startswith("  ") for line in told.splitlines()[1:])
