"""Read a proxy's configuration file for mistakes in our settings, before any worker is started.

A worker that finds a mistake ends; a supervisor of several workers would start it again for ever. So the
launcher looks first: at our own settings, and at what LiteLLM itself refuses of strategies and groups.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rb_litellm.config import SettingsError, parse_deployment, parse_settings
from rb_litellm.litellm_adapter.hosts.host import STRATEGY
from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigUnreadable, read_config
from rb_litellm.litellm_adapter.proxy.starting.group_rules import group_mistakes, judge_mistakes
from rb_litellm.litellm_adapter.proxy.starting.shapes import shaped
from rb_litellm.litellm_adapter.shared.feedback_file import check_feedback, check_shadow_evaluation
from rb_litellm.litellm_adapter.shared.predictor_folders import check_names
from rb_litellm.predictors.trained.model import Predictor, PredictorError
from rb_litellm.state.exchange.redis.settings import checked_url


class LookedOver(NamedTuple):
    """What is to be said of a LiteLLM configuration file, one message each."""

    mistakes: list[str]
    """Files that cannot be read, entries on which LiteLLM ends without naming them, and settings of ours,
    strategies and routing groups that no worker could start with."""
    passed_over: list[str]
    """What LiteLLM cannot use, and starts without."""


def look_over(config_file: Path) -> LookedOver:
    """Read a file, and say what is wrong with it."""
    try:
        kept, misshapen = shaped(read_config(config_file))
    except ConfigUnreadable as unreadable:
        return LookedOver([str(unreadable)], [])
    ends = [one.told for one in misshapen if one.ends]
    return LookedOver(ends + mistakes_in(kept), [one.told for one in misshapen if not one.ends])


def mistakes_in(config: Mapping[str, Any]) -> list[str]:
    """Our settings, strategies and groups with which no worker could start, of what `read_config` gives."""
    names = model_names(config)
    found = list(group_mistakes(config, names))
    for where, _, args in strategies(config):
        where += ".routing_strategy_args"
        try:
            settings = parse_settings(args, where)
            check_feedback(settings.feedback, where)
            check_shadow_evaluation(settings, where)
            url = settings.redis.url
            # A variable may be set by the file itself, or kept by a secret manager that LiteLLM asks.
            if url is not None and not url.startswith("os.environ/"):
                checked_url(url, os.environ, where)
            if names is not None:
                found += judge_mistakes(settings, config, where)
            if not isinstance(settings.predictor, str):
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


def our_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a LiteLLM configuration's `router_settings` may change at run time and concerns us.

    As `Router.update_settings` takes it.
    """
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
    return None if models_in_database(config) else names_of(_list(config.get("model_list")))


def models_in_database(config: Mapping[str, Any]) -> bool:
    """Whether the proxy will take models, and router settings, from its database, too."""
    if _mapping(config.get("general_settings")).get("store_model_in_db") is True:
        return True
    return os.environ.get("STORE_MODEL_IN_DB", "").lower() == "true"


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


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
