"""`routebalance doctor --config`: whatever is wrong with a configuration is found and has a remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.cli import main
from rb_litellm.doctor.surroundings import _latency
from rb_litellm.state.exchange.redis.settings import NEEDED_RIGHTS, RedisSettings
from tests.doctor.conftest import Write, auto, model

PAIR = [model("small"), model("large")]


def examine(file: Path, *options: str) -> tuple[int, list[dict[str, str]]]:
    """Exit status and findings."""
    result = CliRunner().invoke(main, ["doctor", "--config", str(file), "--json", *options])
    return result.exit_code, json.loads(result.stdout)["findings"]


def found(file: Path, check: str) -> list[tuple[str, str]]:
    """Level and message of the findings of one check; every bad one has a remedy."""
    findings = [finding for finding in examine(file)[1] if finding["check"] == check]
    assert all(finding["remedy"] for finding in findings if finding["level"] != "ok")
    return [(finding["level"], finding["message"]) for finding in findings]


def test_a_good_configuration_has_no_errors_and_no_warnings(
    write: Write, redis: RedisServer, engine: str
) -> None:
    pair = [model(name, params={"api_base": engine}) for name in ("small", "large")]
    file = write(model_list=pair, router_settings={**auto("small", "large"), "redis_url": redis.url})
    status, findings = examine(file, "--strict")
    assert status == 0, findings
    assert {finding["level"] for finding in findings} == {"ok"}
    checks = {
        "engines",
        "litellm",
        "settings",
        "loading",
        "members",
        "prices",
        "quality",
        "policies",
        "access",
    }
    assert checks | {"models", "redis", "clock", "fleet"} == {finding["check"] for finding in findings}


def test_a_finding_has_the_fields_that_other_programs_read(write: Write) -> None:
    _, findings = examine(write(model_list=PAIR))
    assert all(set(finding) == {"level", "check", "message", "remedy"} for finding in findings)


def test_warnings_fail_only_under_strict(write: Write) -> None:
    file = write(model_list=[model("alone")], router_settings={"routing_strategy": "routebalance"})
    assert found(file, "members")[0][0] == "warn"
    assert examine(file)[0] == 0
    assert examine(file, "--strict")[0] == 1


def test_without_our_strategy_it_says_how_to_get_it(write: Write) -> None:
    file = write(model_list=PAIR, router_settings={"routing_strategy": "least-busy"})
    status, findings = examine(file)
    assert status == 1
    (strategy,) = [finding for finding in findings if finding["check"] == "strategy"]
    assert "routebalance init" in strategy["remedy"]


def test_wrong_settings_are_errors_that_name_them(write: Write) -> None:
    file = write(
        model_list=[*PAIR, model("third", routebalance={"quality": 7})],
        router_settings=auto("small", "lrage", routing_strategy_args={"weights": "fast"}),
    )
    messages = [message for level, message in found(file, "settings") if level == "error"]
    assert len(messages) == 3
    for part in ("lrage", "'fast'", "model_list.2 (third)"):
        assert any(part in message for message in messages)


def test_a_file_that_litellm_cannot_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model_list: [")
    assert found(file, "file")[0][0] == "error"


def test_included_files_count(write: Write) -> None:
    write("models.yaml", model_list=PAIR)
    file = write(include=["models.yaml"], router_settings=auto("small", "large"))
    assert found(file, "members") == [
        ("ok", "routing_groups (auto): 2 deployments of 2 models (large, small)")
    ]


def test_a_group_that_mixes_answers_and_embeddings_is_an_error(write: Write) -> None:
    file = write(
        model_list=[*PAIR, model("vectors", mode="embedding")],
        router_settings=auto("small", "vectors"),
    )
    assert any(level == "error" and "vectors" in message for level, message in found(file, "members"))


def test_models_without_price_are_named(write: Write) -> None:
    unpriced = {"input_cost_per_token": None, "output_cost_per_token": None}
    file = write(
        model_list=[*PAIR, model("secret", params=unpriced)],
        router_settings={"routing_strategy": "routebalance"},
    )
    ((level, message),) = found(file, "prices")
    assert level == "warn"
    assert "secret" in message
    assert "small" not in message


def test_a_price_that_yaml_takes_for_a_string_is_a_price(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    entry = {"model_name": "small", "litellm_params": {"model": "hosted_vllm/small-7b"}}
    entry["litellm_params"] |= {"input_cost_per_token": 6e-08, "output_cost_per_token": 6e-08}
    # JSON writes 6e-08, which YAML 1.1 reads as a string.
    document = {"model_list": [entry, entry], "router_settings": {"routing_strategy": "routebalance"}}
    file.write_text(json.dumps(document))
    assert found(file, "prices")[0][0] == "ok"


@pytest.mark.parametrize(
    ("name", "level", "part"),
    [
        ("hosted_vllm/qwen2.5-7b", "ok", "what is published"),
        ("gpt-4o-mini", "ok", "what is published"),
        ("hosted_vllm/house-7b", "ok", "guessed from the size"),
        ("hosted_vllm/house-model", "warn", "nothing tells how good"),
    ],
)
def test_what_is_known_of_a_models_quality(write: Write, name: str, level: str, part: str) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": name}}
    file = write(model_list=[entry, entry], router_settings={"routing_strategy": "routebalance"})
    ((told, message),) = found(file, "quality")
    assert told == level
    assert part in message


@pytest.mark.parametrize("kind", ["hosted_vllm/bge-m3", "openai/gpt-image-1", "hosted_vllm/kokoro"])
def test_of_what_answers_no_chats_no_quality_is_told(write: Write, kind: str) -> None:
    entries = [{"model_name": "m", "litellm_params": {"model": kind}}] * 2
    file = write(model_list=entries, router_settings={"routing_strategy": "routebalance"})
    assert [*found(file, "quality"), *found(file, "models")] == []


def test_the_remedy_for_a_model_that_nobody_knows_is_one_that_there_is(write: Write) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "hosted_vllm/house-model"}}
    file = write(model_list=[entry], router_settings={"routing_strategy": "routebalance"})
    (finding,) = (each for each in examine(file)[1] if each["check"] == "quality")
    assert "model_info.routebalance.like" in finding["remedy"]
    assert "init" not in finding["remedy"]


def test_like_that_names_nothing_is_told_and_counts_for_nothing(write: Write) -> None:
    info = {"routebalance": {"like": "nosuchmodel-3000"}}
    entry = {"model_name": "m", "litellm_params": {"model": "gpt-4o-mini"}, "model_info": info}
    file = write(model_list=[entry], router_settings={"routing_strategy": "routebalance"})
    (own, wrong) = found(file, "models")
    assert own[0] == "ok"
    assert "gpt-4o-mini is taken for gpt-4o-mini-2024-07-18" in own[1]
    assert wrong[0] == "warn"
    assert "model_info.routebalance.like: 'nosuchmodel-3000'" in wrong[1]


@pytest.mark.parametrize(
    ("router", "params", "part"),
    [
        ({"optional_pre_call_checks": ["session_affinity"]}, {}, "session_affinity"),
        ({"disable_cooldowns": True}, {}, "cooldowns are off"),
        ({}, {"rpm": 10}, "`rpm`"),
    ],
)
def test_policies_that_interact_are_named(
    write: Write, router: dict[str, Any], params: dict[str, Any], part: str
) -> None:
    file = write(
        model_list=[model("small", params=params), model("large")],
        router_settings={**auto("small", "large"), **router},
    )
    ((level, message),) = found(file, "policies")
    assert level == "warn"
    assert part in message


def test_a_provider_that_litellm_does_not_know_leaves_json_alone(write: Write) -> None:
    """LiteLLM has a hint for those on standard output."""
    entry = {"model_name": "m", "litellm_params": {"model": "of-no-provider"}}
    status, _ = examine(
        write(model_list=[entry, entry], router_settings={"routing_strategy": "routebalance"})
    )
    assert status == 0


def test_weights_of_deployments_hold(write: Write) -> None:
    models = [model("small", params={"weight": number}) for number in (1, 2)]
    file = write(model_list=models, router_settings={"routing_strategy": "routebalance"})
    assert [level for level, message in found(file, "policies") if "`weight`" in message] == ["ok"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_list": [{**model("small"), "litellm_params": [{"model": "gpt-4o"}]}, model("large")]},
         "model_list.0.litellm_params: holds [{'model': 'gpt-4o'}]; allowed is a mapping"),
        ({"model_list": [{**model("small"), "model_info": "x"}]}, "0.model_info: holds 'x'; allowed"),
        ({"model_list": ["gpt-4o"]}, "model_list.0: holds 'gpt-4o'; allowed is a mapping"),
        ({"model_list": model("small")}, "allowed is a list"),
        ({"litellm_settings": [{"cache": True}]}, "litellm_settings: holds [{'cache': True}]; allowed"),
        ({"litellm_settings": {"cache_params": "redis"}}, "litellm_settings.cache_params: holds 'redis'"),
        ({"credential_list": {"credential_name": "c"}}, "credential_list: holds"),
        ({"router_settings": {**auto("small"), "model_group_alias": ["a"]}}, "alias: holds ['a']"),
        ({"router_settings": {**auto("small"), "optional_pre_call_checks": True}}, "allowed is a list"),
        ({"router_settings": [auto("small")]}, "router_settings: holds"),
        ({"general_settings": "sk-1"}, "general_settings: holds a value of type str; allowed is a mapping"),
    ],
)  # fmt: skip
def test_a_part_of_another_kind_is_named_and_the_rest_looked_at(
    write: Write, changes: dict[str, Any], told: str
) -> None:
    content = {"model_list": PAIR, "router_settings": auto("small", "large"), **changes}
    file = write(**content)
    ((level, message),) = found(file, "file")
    assert level == "error"
    assert told in message
    assert found(file, "litellm")
    proposed = CliRunner().invoke(main, ["init", "--config", str(file)])
    assert proposed.exit_code == 1
    assert f"{file}: nothing was changed; correct this first:" in proposed.stderr
    assert told in proposed.stderr


@pytest.mark.parametrize(
    "group",
    [
        {"models": [["small"], "large"]},
        {"models": [{"small": 1}]},
        {"routing_strategy": {"name": "routebalance"}},
    ],
)
def test_a_group_that_holds_another_kind_of_value_is_told(write: Write, group: dict[str, Any]) -> None:
    settings = auto("small", "large")
    settings["routing_groups"][0] |= group
    file = write(model_list=PAIR, router_settings=settings)
    assert "error" in {level for level, _ in found(file, "settings")}


@pytest.mark.parametrize("order", [{"a": 1}, [2]])
def test_an_order_that_is_no_number_stops_no_check(write: Write, order: object) -> None:
    models = [model("small", params={"order": its}) for its in (1, order)]
    file = write(model_list=models, router_settings={"routing_strategy": "routebalance"})
    assert found(file, "access")


def test_an_order_of_deployments_leaves_nothing_to_decide(write: Write) -> None:
    models = [model("small", params={"order": number}) for number in (1, 2)]
    file = write(model_list=models, router_settings={"routing_strategy": "routebalance"})
    assert "`order`" in found(file, "policies")[0][1]


def test_a_setting_of_the_process_is_stated_alike_or_once(write: Write) -> None:
    def settings(*stated: dict[str, Any]) -> dict[str, Any]:
        groups = [auto(name, group_name=f"g-{name}") for name in ("small", "large")]
        for group, arguments in zip(groups, stated, strict=True):
            group["routing_groups"][0]["routing_strategy_args"] = arguments
        return {"routing_groups": [group["routing_groups"][0] for group in groups]}

    pair = [entry for entry in PAIR for _ in range(2)]
    alike = write(model_list=pair, router_settings=settings({"redis": {"namespace": "a"}}, {}))
    assert found(alike, "policies")[0][0] == "ok"
    unlike = write(
        model_list=pair,
        router_settings=settings({"redis": {"namespace": "a"}}, {"redis": {"namespace": "b"}}),
    )
    assert "`redis` differs" in found(unlike, "policies")[0][1]


def test_a_dear_member_that_any_key_may_reach_is_named(write: Write) -> None:
    dear = model("large", params={"input_cost_per_token": 1e-4})
    file = write(model_list=[PAIR[0], dear], router_settings=auto("small", "large"))
    ((level, message),) = found(file, "access")
    assert (level, "large" in message) == ("warn", True)
    strict = auto("small", "large", routing_strategy_args={"member_access": "key"})
    assert found(write(model_list=[PAIR[0], dear], router_settings=strict), "access")[0][0] == "ok"


@pytest.mark.parametrize("place", ["model_name", "model_info.id", "group_name"])
@pytest.mark.parametrize("name", ["a\x00b", "a\r\nb", "a ", "\x1b[31ma", "\u00e9"])
def test_a_name_that_no_header_may_carry_is_named(write: Write, place: str, name: str) -> None:
    """LiteLLM sends a deployment's id in a header of its own; a control character there empties answers."""
    pair = [dict(entry) for entry in PAIR]
    group = auto("small", "large")
    if place == "model_name":
        pair[0]["model_name"] = name
    elif place == "model_info.id":
        pair[0]["model_info"] = {**pair[0].get("model_info", {}), "id": name}
    else:
        group["routing_groups"][0]["group_name"] = name
    ((level, message),) = found(write(model_list=pair, router_settings=group), "names")
    assert level == "warn"
    assert f"{place} {name!r}" in message
    assert message.isprintable()


def test_a_redis_that_does_not_answer_is_an_error_without_its_password(write: Write) -> None:
    router = {"routing_strategy": "routebalance", "redis_url": "redis://:s3cret@127.0.0.1:1/0"}
    ((level, message),) = found(write(model_list=PAIR, router_settings=router), "redis")
    assert level == "error"
    assert "redis://127.0.0.1:1/0" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("lacking", [None, "+time", "+@scripting"])
def test_a_user_of_redis_needs_the_documented_rights_and_no_more(
    write: Write, redis: RedisServer, lacking: str | None
) -> None:
    assert NEEDED_RIGHTS.replace("~rb:*", "'~rb:*'") in Path("docs/state.md").read_text("utf-8")
    rights = [right for right in NEEDED_RIGHTS.split() if right != lacking]
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">p", *rights)
    router = {**auto("small", "large"), "redis_url": f"redis://few:p@127.0.0.1:{redis.port}/1"}
    _, findings = examine(write(model_list=PAIR, router_settings=router))
    (of_redis,) = [finding for finding in findings if finding["check"] == "redis"]
    if lacking is None:
        assert (of_redis["level"], "release unknown" in of_redis["message"]) == ("ok", True)
        return
    assert of_redis["level"] == "error"
    assert "does not let its user do all" in of_redis["message"]
    assert NEEDED_RIGHTS in of_redis["remedy"]


def test_no_redis_at_all_is_a_warning(write: Write) -> None:
    file = write(model_list=PAIR, router_settings={"routing_strategy": "routebalance"})
    assert found(file, "redis")[0][0] == "warn"


def test_variables_that_are_not_set_are_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    file = write(
        model_list=[model("small", params={"api_key": "os.environ/NO_SUCH_KEY"}), PAIR[1]],
        router_settings=auto("small", "large"),
    )
    assert "NO_SUCH_KEY" in found(file, "environment")[0][1]


def test_a_variable_that_the_file_sets_itself_comes_too_late_for_the_file(write: Write) -> None:
    """LiteLLM reads every os.environ/ first: the deployment would have no key, and nobody says so."""
    file = write(
        environment_variables={"NO_SUCH_KEY": "secret", "OTHER": "unused"},
        model_list=[model("small", params={"api_key": "os.environ/NO_SUCH_KEY"}), PAIR[1]],
        router_settings=auto("small", "large"),
    )
    (_, unset), (level, late) = found(file, "environment")
    assert level == "warn"
    assert "environment_variables sets NO_SUCH_KEY after" in late
    assert "secret" not in unset + late


def test_a_proxy_that_is_not_there_is_an_error(write: Write) -> None:
    result = CliRunner().invoke(main, ["doctor", "--url", "http://127.0.0.1:1", "--json"])
    assert result.exit_code == 1
    assert "does not answer" in result.stdout


def test_without_options_the_usual_proxy_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_PROXY_URL", "http://127.0.0.1:1")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "http://127.0.0.1:1 does not answer" in result.stderr


def test_the_text_has_signs_remedies_and_a_count(write: Write) -> None:
    file = write(model_list=PAIR, router_settings={"routing_strategy": "least-busy"})
    result = CliRunner().invoke(main, ["doctor", "--config", str(file)])
    assert "ERROR" in result.stdout
    assert "-> routebalance init" in result.stdout
    assert "1 warning, 1 error\n" in result.stdout


def test_an_id_that_several_deployments_have_is_named(write: Write) -> None:
    same = [model("small", id="a"), model("large", id="a"), model("large", id=""), model("large", id="")]
    ((level, message),) = found(write(model_list=same, router_settings=auto("small", "large")), "ids")
    assert level == "warn"
    assert "2 deployments have the id 'a' (large, small)" in message
    assert found(write(model_list=PAIR, router_settings=auto("small", "large")), "ids") == []


@pytest.mark.parametrize(
    ("release", "old"),
    [("5.0.14", True), ("6.0.20", True), ("6.2.14", False), ("10.0.0", False), ("?", False)],
)
def test_a_redis_that_is_too_old_is_named(release: str, old: bool) -> None:
    findings = list(_latency(RedisSettings(host="there"), release, 0.1))
    assert [one.level for one in findings] == (["error", "ok"] if old else ["ok"])
    assert not old or "6.2 or later" in findings[0].remedy
