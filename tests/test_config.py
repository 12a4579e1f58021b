"""Settings: good ones are read, bad ones are named with their value and with what is allowed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.config import (
    DeploymentSettings,
    RouteBalanceSettings,
    SettingsError,
    parse_deployment,
    parse_settings,
)
from rb_litellm.core.decision.scoring import PRESETS, Weights

WHERE = "routing_strategy_args"


def refusal(args):
    with pytest.raises(SettingsError) as caught:
        parse_settings(args, WHERE)
    return str(caught.value)


@pytest.mark.parametrize("args", [None, {}])
def test_no_settings_are_the_defaults(args):
    settings = parse_settings(args, WHERE)
    assert settings == RouteBalanceSettings()
    assert settings.weights == PRESETS["standard"]
    assert settings.member_access == "group"


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_may_be_a_preset(preset):
    assert parse_settings({"weights": preset}, WHERE).weights == PRESETS[preset]


@given(st.integers(0, 100), st.integers(0, 100))
def test_weights_may_be_three_numbers_that_sum_to_one(a, b):
    low, high = sorted((a, b))
    given_weights = {"quality": low / 100, "latency": (high - low) / 100, "cost": (100 - high) / 100}
    assert parse_settings({"weights": given_weights}, WHERE).weights == Weights(**given_weights)


def test_a_full_configuration_is_read():
    settings = parse_settings(
        {
            "weights": {"quality": 0.5, "latency": 0.5, "cost": 0},
            "quality_norm": "minmax",
            "member_access": "key",
            "predictor": {"path": "/somewhere", "models": {"big": "qwen-72b"}},
            "redis": {"url": "redis://localhost", "namespace": "prod", "interval_ms": 500, "ttl_s": 10},
            "scrape": {"interval_s": 2},
            "lease": {"factor": 3, "floor_s": 10, "ceiling_s": 100},
            "seed": 7,
        },
        WHERE,
    )
    assert settings.weights == Weights(0.5, 0.5, 0.0)
    assert settings.predictor is not None
    assert settings.predictor.models == {"big": "qwen-72b"}
    assert settings.redis.interval_ms == 500
    assert settings.seed == 7


BAD = [
    # args, the setting's name, the value as shown, what is allowed
    ({"wieghts": "cost"}, "wieghts", "'cost'", "weights"),
    ({"weights": "fast"}, "weights", "'fast'", "balanced, quality, latency, cost"),
    ({"weights": 3}, "weights", "3", "preset (balanced, quality, latency, cost, cheapest, standard)"),
    ({"weights": {"quality": 0.5, "latency": 0.6, "cost": 0.1}}, "weights", "0.6", "must sum to 1"),
    ({"weights": {"quality": 0.5, "latency": 0.5}}, "weights", "0.5", "missing: cost"),
    ({"weights": {"quality": 0.5, "latency": 0.5, "price": 0.0}}, "weights", "price", "unknown: price"),
    (
        {"weights": {"quality": "a", "latency": 0.5, "cost": 0.5}},
        "weights.quality",
        "'a'",
        "number from 0 to 1",
    ),
    (
        {"weights": {"quality": True, "latency": 0, "cost": 0}},
        "weights.quality",
        "True",
        "number from 0 to 1",
    ),
    ({"weights": {"quality": -1, "latency": 1, "cost": 1}}, "weights.quality", "-1", "number from 0 to 1"),
    ({"quality_norm": "log"}, "quality_norm", "'log'", "'raw', 'minmax' or 'scaled'"),
    ({"member_access": "team"}, "member_access", "'team'", "'group' or 'key'"),
    ({"predictor": {}}, "predictor.path", "{}", "missing, and needed"),
    ({"predictor": {"path": "x", "model": {}}}, "predictor.model", "{}", "path, models"),
    ({"predictor": "x"}, "predictor", "'x'", "default, none"),
    ({"redis": {"host": "h"}}, "redis.host", "'h'", "enabled, url, namespace, interval_ms, ttl_s"),
    ({"redis": {"interval_ms": 1}}, "redis.interval_ms", "1", "number of at least 100"),
    ({"redis": {"ttl_s": "soon"}}, "redis.ttl_s", "'soon'", "allowed is a number"),
    ({"redis": {"namespace": "a b"}}, "redis.namespace", "'a b'", "text that matches"),
    ({"scrape": {"interval_s": 0}}, "scrape.interval_s", "0", "number of at least 1"),
    ({"lease": {"factor": 0.5}}, "lease.factor", "0.5", "number of at least 1"),
    ({"targets": {"cost_usd_per_1k": True}}, "targets.cost_usd_per_1k", "True", "not true or false"),
    ({"usd_per_day": True}, "usd_per_day", "True", "not true or false"),
    ({"requests_per_minute": True}, "requests_per_minute", "True", "not true or false"),
    (
        {"overrides": {"request": ["wieghts"]}},
        "overrides.request: 'wieghts' is no control",
        "['wieghts']",
        "did you mean weights? allowed are all, or a list of weights, quality_norm",
    ),
    ({"overrides": {"key": "none"}}, "overrides.key: allowed are all", "'none'", "or a list of weights"),
    (
        {"cascade": {"judge": {"model": "j", "accepts_right": 0.4, "accepts_wrong": 0.9}}},
        "cascade.judge: accepts_wrong 0.9 is above accepts_right 0.4",
        "0.9",
        "no more of the wrong answers than of the right ones",
    ),
    ({"seed": "x"}, "seed", "'x'", "allowed is a whole number"),
]


@pytest.mark.parametrize(
    ("args", "name", "value", "allowed"), BAD, ids=[bad[1] + "=" + bad[2] for bad in BAD]
)
def test_a_bad_setting_is_named_with_its_value_and_what_is_allowed(args, name, value, allowed):
    message = refusal(args)
    assert message.startswith(f"{WHERE}.{name.split('.')[0]}")
    assert name in message
    assert value in message
    assert allowed in message


def test_every_wrong_setting_is_listed_at_once():
    message = refusal({"weights": "fast", "quality_norm": "log", "colour": "red"})
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize("args", [["weights"], [], "weights: cost", "", 7, False])
def test_settings_that_are_no_mapping_are_an_error_of_the_same_kind(args):
    message = refusal(args)
    assert WHERE in message
    assert "mapping" in message


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        RouteBalanceSettings().seed = 3  # type: ignore[misc]


def test_a_password_in_the_wrong_place_is_not_repeated():
    message = refusal({"redis": {"password": "correct horse"}})
    assert f"{WHERE}.redis.password" in message
    assert "horse" not in message


def test_a_deployment_of_which_nothing_is_said_has_no_settings():
    assert parse_deployment(None, "x") == DeploymentSettings()


BAD_DEPLOYMENT = [
    ({"qualty": 0.5}, "qualty", "0.5", "quality, output_tokens, like, tpot_ms"),
    ({"quality": 7}, "quality", "7", "number of at most 1"),
    ({"tpot_ms": 0}, "tpot_ms", "0", "number above 0"),
    ({"ttft_ms": "fast"}, "ttft_ms", "'fast'", "allowed is a number"),
    ({"max_num_seqs": 0}, "max_num_seqs", "0", "number of at least 1"),
    ({"max_num_seqs": 2.5}, "max_num_seqs", "2.5", "allowed is a whole number"),
    ({"scrape_url": "gpu-1:8000"}, "scrape_url", "'gpu-1:8000'", "http:// or https:// address"),
    ("fast", "model_info.routebalance of big", "'fast'", "mapping"),
    ([], "model_info.routebalance of big", "[]", "mapping"),
]


@pytest.mark.parametrize(("info", "name", "value", "allowed"), BAD_DEPLOYMENT)
def test_a_bad_setting_of_a_deployment_is_named_too(info, name, value, allowed):
    with pytest.raises(SettingsError) as caught:
        parse_deployment(info, "model_info.routebalance of big")
    message = str(caught.value)
    assert message.startswith("model_info.routebalance of big")
    assert name in message
    assert value in message
    assert allowed in message


@pytest.mark.parametrize("name", ["quality", "output_tokens", "tpot_ms", "ttft_ms"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_of_a_deployment_must_be_finite(name, value):
    with pytest.raises(SettingsError, match=name):
        parse_deployment({name: value}, "here")


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ({"low": {"quality": True, "output_tokens": 10}}, "efforts.low.quality: allowed is a number"),
        ({"low": {"quality": 0.5, "output_tokens": 1e300}}, "efforts.low.output_tokens"),
        (
            {"low": {"quality": 0.5, "output_tokens": 9, "qualty": 0.1}},
            "efforts.low.qualty: unknown setting (value 0.1); did you mean quality? "
            "allowed are quality, output_tokens",
        ),
        ({"ultra": {"quality": 0.5, "output_tokens": 9}}, "here.efforts.ultra: allowed are 'none'"),
    ],
)
def test_a_wrong_level_of_effort_is_told_with_what_is_allowed(level, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        parse_deployment({"efforts": level}, "here")


@pytest.mark.parametrize("name", ["quality", "tpot_ms", "max_num_seqs"])
def test_true_is_no_number(name):
    with pytest.raises(
        SettingsError, match=rf"{name}: allowed is a number, not true or false \(value True\)"
    ):
        parse_deployment({name: True}, "here")


@pytest.mark.parametrize("name", ["cascade", "best_of"])
def test_what_is_judged_needs_a_judge_and_active_mode(name):
    settings = getattr(parse_settings({name: {"judge": {"model": "judge"}}}, "args"), name)
    assert settings.default == "allow"
    for wrong, named in (
        ({name: {}}, f"args.{name}.judge"),
        ({name: {"judge": {"model": "judge", "accepts_right": 1.5}}}, "accepts_right"),
        ({name: {"judge": {"model": "judge"}}, "mode": "shadow"}, f"{name} needs mode: active"),
        ({"best_of": {"judge": {"model": "judge"}, "answers": 9}}, "answers"),
    ):
        with pytest.raises(SettingsError, match=named):
            parse_settings(wrong, "args")
