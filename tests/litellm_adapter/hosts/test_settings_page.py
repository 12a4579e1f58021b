"""Arguments of our strategies on the Admin UI's Router Settings page, which knows no field for them."""

from __future__ import annotations

from typing import Any

import pytest

from rb_litellm.litellm_adapter.hosts.settings.page import FIELD, MAX_GROUPS, fields, take_in


def group(name: str, args: Any, strategy: str = "routebalance") -> dict[str, Any]:
    return {
        "group_name": name,
        "models": ["m"],
        "routing_strategy": strategy,
        "routing_strategy_args": args,
    }


def settings(strategy: str = "routebalance") -> dict[str, Any]:
    groups = [group("auto", {"weights": "cost"}), group("plain", None, "simple-shuffle")]
    args = {"weights": "quality"}
    return {"routing_strategy": strategy, "routing_strategy_args": args, "routing_groups": groups}


def test_each_of_our_strategies_has_a_field_and_nobody_else() -> None:
    assert fields(settings()) == {FIELD: '{"weights": "quality"}', f"{FIELD}:auto": '{"weights": "cost"}'}
    assert fields(settings("least-busy")) == {f"{FIELD}:auto": '{"weights": "cost"}'}
    assert fields({"routing_strategy": "routebalance"}) == {FIELD: "{}"}


def test_fields_are_bounded() -> None:
    many = {"routing_groups": [group(f"g{i}", {}) for i in range(MAX_GROUPS + 9)]}
    assert len(fields(many)) == MAX_GROUPS


def test_what_was_not_edited_changes_nothing() -> None:
    new = {"num_retries": 3, **fields(settings())}
    assert take_in(new, settings()) == []
    assert new == {"num_retries": 3}


@pytest.mark.parametrize(("text", "args"), [('{"weights": "latency"}', {"weights": "latency"}), ("", {})])
def test_edited_arguments_take_the_place_of_the_old(text: str, args: dict[str, Any]) -> None:
    own: dict[str, Any] = {FIELD: text, "routing_strategy": "routebalance"}
    assert take_in(own, settings()) == []
    assert own == {"routing_strategy": "routebalance", "routing_strategy_args": args}
    of_group: dict[str, Any] = {f"{FIELD}:auto": text}
    assert take_in(of_group, settings()) == []
    assert of_group == {"routing_groups": [group("auto", args), settings()["routing_groups"][1]]}


def test_arguments_of_a_strategy_that_is_given_up_on_the_same_page_are_dropped() -> None:
    new = {FIELD: '{"weights": "cost"}', "routing_strategy": "least-busy"}
    assert take_in(new, settings()) == []
    assert new == {"routing_strategy": "least-busy"}


@pytest.mark.parametrize("text", ["cost", "[1]", "{", "3"])
def test_what_is_no_object_is_refused_with_its_value(text: str) -> None:
    (message,) = take_in({FIELD: text}, settings())
    assert FIELD in message
    assert repr(text) in message


def test_a_group_that_comes_without_arguments_keeps_them() -> None:
    for edited in (group("auto", None), {k: v for k, v in group("auto", 0).items() if k[-4:] != "args"}):
        new = {"routing_groups": [edited | {"models": ["m", "n"]}]}
        assert take_in(new, settings()) == []
        assert new == {"routing_groups": [group("auto", {"weights": "cost"}) | {"models": ["m", "n"]}]}
    reset = {"routing_groups": [group("auto", {}), group("new", None)]}
    assert take_in(reset, settings()) == []
    assert [g["routing_strategy_args"] for g in reset["routing_groups"]] == [{}, None]
