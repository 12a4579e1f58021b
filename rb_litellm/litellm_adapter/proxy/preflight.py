"""Read a proxy's configuration file for mistakes in our settings, before any worker is started.

A worker that finds a mistake ends; a supervisor of several workers would start it again for ever. So the
launcher looks first. Only our own settings are judged here; the rest is LiteLLM's to judge.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rb_litellm.config import SettingsError, parse_deployment, parse_settings
from rb_litellm.litellm_adapter.hosts.host import STRATEGY
from rb_litellm.litellm_adapter.shared.feedback_file import check_feedback, check_shadow_evaluation
from rb_litellm.litellm_adapter.shared.predictor_folders import check_names, joined
from rb_litellm.predictors.model import Predictor, PredictorError


def mistakes(config_file: Path) -> list[str]:
    """What is wrong with our settings in a LiteLLM configuration file, one message each; empty if nothing.

    A file that cannot be read as YAML has no mistakes of ours.
    """
    try:
        config = read_config(config_file)
    except ConfigUnreadable:
        return []
    found: list[str] = []
    names = model_names(config)
    for where, members, args in strategies(config):
        if names is not None and (unknown := [str(m) for m in members if m not in names]):
            found.append(
                f"{where}.models: unknown model group (value {unknown}); allowed are {joined(names)}"
            )
        where += ".routing_strategy_args"
        try:
            settings = parse_settings(args, where)
            check_feedback(settings.feedback, where)
            check_shadow_evaluation(settings, where)
            if settings.predictor is not None:
                predictor = Predictor.load(settings.predictor.path)
                nameable = None if names is None else names | deployments_of(config)
                check_names(settings.predictor, predictor, nameable, where)
        except (SettingsError, PredictorError) as error:
            found.append(str(error) if where in str(error) else f"{where}: {error}")
    for number, entry in enumerate(_list(config.get("model_list"))):
        entry = _mapping(entry)
        info = _mapping(entry.get("model_info"))
        try:
            parse_deployment(
                info.get("routebalance"),
                f"model_list.{number} ({entry.get('model_name')}).model_info.routebalance",
            )
        except SettingsError as error:
            found.append(str(error))
    return found


class ConfigUnreadable(ValueError):
    """A file that LiteLLM could not read as its configuration either."""


def read_config(config_file: Path) -> Mapping[str, Any]:
    """A configuration as LiteLLM sees it: included files merged in, `os.environ/NAME` replaced.

    A variable that is not set stays as it is written.

    Raises:
        ConfigUnreadable: naming the file and what is wrong with it.
    """
    config = dict(_read(config_file))
    # As LiteLLM merges them: lists grow, everything else is the later file's.
    for included in _list(config.pop("include", None)):
        for key, value in _read(config_file.parent / str(included)).items():
            grows = isinstance(value, list) and isinstance(config.get(key), list)
            config[key] = [*config[key], *value] if grows else value
    resolved: Mapping[str, Any] = _resolved(config)
    return resolved


def _read(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigUnreadable(f"{file}: {error}") from error
    if config is not None and not isinstance(config, Mapping):
        raise ConfigUnreadable(f"{file}: holds a {type(config).__name__}; a configuration is a mapping")
    return config or {}


def our_settings(config_file: Path) -> dict[str, Any] | None:
    """What of a LiteLLM configuration file's `router_settings` may change at run time and concerns us.

    As `Router.update_settings` takes it; None where the file cannot be read (yet).
    """
    import yaml

    try:
        config = _resolved(yaml.safe_load(config_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(config, Mapping):
        return None
    router = _mapping(config.get("router_settings"))
    settings: dict[str, Any] = {}
    if router.get("routing_strategy") == STRATEGY:
        settings["routing_strategy"] = STRATEGY
        settings["routing_strategy_args"] = _args(router)
    if any(
        _mapping(group).get("routing_strategy") == STRATEGY for group in _list(router.get("routing_groups"))
    ):
        settings["routing_groups"] = _list(router.get("routing_groups"))
    return settings


def names_of(entries: Iterable[Any]) -> set[str]:
    """Model groups and models (with and without provider) of LiteLLM's entries of `model_list`."""
    names: set[str] = set()
    for entry in map(_mapping, entries):
        model = str(_mapping(entry.get("litellm_params")).get("model", ""))
        names |= {str(entry.get("model_name", "")), model, model.split("/", 1)[-1]}
    return names - {""}


def deployments_of(config: Mapping[str, Any]) -> set[str]:
    """Ids of deployments that the configuration states."""
    infos = (_mapping(_mapping(entry).get("model_info")) for entry in _list(config.get("model_list")))
    return {str(info["id"]) for info in infos if info.get("id")}


def model_names(config: Mapping[str, Any]) -> set[str] | None:
    """What a group or mapping may name; None where more models may come from a database."""
    if _mapping(config.get("general_settings")).get("store_model_in_db") is True:
        return None
    if os.environ.get("STORE_MODEL_IN_DB", "").lower() == "true":
        return None
    return names_of(_list(config.get("model_list")))


def strategies(config: Mapping[str, Any]) -> Iterable[tuple[str, list[Any], Any]]:
    """(name in the file, members, arguments) of the router and the routing groups that are ours."""
    router = _mapping(config.get("router_settings"))
    if router.get("routing_strategy") == STRATEGY:
        yield "router_settings", [], _args(router)
    for group in _list(router.get("routing_groups")):
        if _mapping(group).get("routing_strategy") == STRATEGY:
            name = _mapping(group).get("group_name")
            yield f"router_settings.routing_groups ({name})", _list(group.get("models")), _args(group)


def _args(holder: Mapping[str, Any]) -> Any:
    args = holder.get("routing_strategy_args")
    return {} if args is None else args


def _resolved(value: Any) -> Any:
    """The value with LiteLLM's `os.environ/NAME` replaced by what the environment holds."""
    if isinstance(value, str) and value.startswith("os.environ/"):
        return os.environ.get(value.removeprefix("os.environ/"), value)
    if isinstance(value, dict):
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
