"""Neither a false alarm over what works, nor an all-clear over what fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doctor.conftest import Write, auto, model
from tests.doctor.test_doctor import PAIR, examine, found

EMBEDDINGS = {"model_name": "vectors", "litellm_params": {"model": "openai/text-embedding-3-small"}}
OURS = {"routing_strategy": "routebalance"}


def hosted(*names: str) -> list[dict[str, Any]]:
    return [{"model_name": name, "litellm_params": {"model": f"openai/{name}"}} for name in names]


def errors(findings: list[dict[str, str]]) -> list[str]:
    return [finding["message"] for finding in findings if finding["level"] == "error"]


def test_a_router_may_serve_embeddings_beside_chats(write: Write) -> None:
    models = hosted("gpt-4o-mini", "gpt-4o-mini")
    status, findings = examine(write(model_list=[*models, EMBEDDINGS], router_settings=OURS))
    assert errors(findings) == []
    assert status == 0


def test_one_name_for_chats_and_embeddings_is_an_error(write: Write) -> None:
    mixed = [*hosted("gpt-4o-mini"), {**EMBEDDINGS, "model_name": "gpt-4o-mini"}]
    (message,) = errors(examine(write(model_list=mixed, router_settings=OURS))[1])
    assert "gpt-4o-mini stands for models of several kinds: chat (gpt-4o-mini) and embedding" in message


def test_models_in_the_database_by_the_environment_are_no_error(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_MODEL_IN_DB", "True")
    file = write(model_list=[], router_settings=auto("kept-there"))
    assert errors(examine(file)[1]) == []
    assert ("ok", "routing_groups (auto): its models are kept in the database") in found(file, "members")


def test_a_wildcard_of_a_provider_whose_prices_are_known_is_no_warning(write: Write) -> None:
    wild = {"model_name": "openai/*", "litellm_params": {"model": "openai/*"}}
    file = write(model_list=[wild, wild], router_settings=OURS)
    for check in ("members", "prices", "quality"):
        assert all(level == "ok" for level, _ in found(file, check)), check
    unknown = {"model_name": "own/*", "litellm_params": {"model": "hosted_vllm/*"}}
    file = write(model_list=[unknown, unknown], router_settings=OURS)
    assert found(file, "prices")[0][0] == "warn"


@pytest.mark.parametrize(
    "groups",
    [
        [{"group_name": "auto", **OURS}],
        [{"group_name": "auto", "models": [], **OURS}],
        [{"group_name": name, "models": ["small", "large"], **OURS} for name in ("a", "b")],
    ],
)
def test_groups_that_litellm_refuses_are_errors(write: Write, groups: list[dict[str, Any]]) -> None:
    status, findings = examine(write(model_list=PAIR, router_settings={"routing_groups": groups}))
    assert status == 1
    assert any("model" in message for message in errors(findings))


def test_a_group_of_several_kinds_is_an_error_that_names_them(write: Write) -> None:
    names = ("gpt-4o-mini", "gpt-image-1", "tts-1", "whisper-1")
    status, findings = examine(write(model_list=hosted(*names), router_settings=auto(*names)))
    assert status == 1
    (message,) = errors(findings)
    for told in ("chat (gpt-4o-mini)", "image (gpt-image-1)", "speech (tts-1)", "transcription (whisper-1)"):
        assert told in message


def test_a_group_of_several_kinds_by_name_alone_is_a_warning(write: Write) -> None:
    models = [*PAIR, model("bge", name="hosted_vllm/BAAI/bge-m3")]
    file = write(model_list=models, router_settings=auto("small", "large", "bge"))
    assert any(level == "warn" and "embedding (bge)" in message for level, message in found(file, "members"))
    stated = [*PAIR, model("bge", name="hosted_vllm/BAAI/bge-m3", mode="chat")]
    file = write(model_list=stated, router_settings=auto("small", "large", "bge"))
    assert [level for level, _ in found(file, "members")] == ["ok"]


def test_models_that_clients_name_one_by_one_leave_nothing_to_choose(write: Write) -> None:
    ((level, message),) = found(write(model_list=PAIR, router_settings=OURS), "members")
    assert (level, "nothing is there to choose" in message) == ("warn", True)


def test_several_workers_without_redis_are_told_where_the_environment_says_so(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUM_WORKERS", "2")
    ((level, message),) = found(write(model_list=PAIR, router_settings=auto("small", "large")), "redis")
    assert (level, "2 workers" in message) == ("error", True)
