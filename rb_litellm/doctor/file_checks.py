"""Checks of a configuration file alone: strategy, groups, members, prices, what is known of the models."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rb_litellm.balancing.candidates import model_info
from rb_litellm.config import SettingsError
from rb_litellm.core.fleet import Deployment
from rb_litellm.doctor import taken_for
from rb_litellm.doctor.configuration import Configuration, Strategy, source_of
from rb_litellm.doctor.finding import Finding, error, ok, warn
from rb_litellm.litellm_adapter.proxy.starting.group_rules import told_kinds
from rb_litellm.litellm_adapter.proxy.starting.preflight import mistakes_in
from rb_litellm.litellm_adapter.shared.entries.facts import has_prices
from rb_litellm.litellm_adapter.shared.entries.model_kinds import CHAT
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.priors import size_billions
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import PredictorError
from rb_litellm.telemetry.records.headers import MAX_VALUE, header_value

_CALLBACK = "rb_litellm.proxy"


def check(config: Configuration) -> Iterator[Finding]:
    """All findings that the file alone gives."""
    for message in config.misshapen:
        yield error("file", message, "correct it; LiteLLM cannot use it either")
    yield from _environment(config)
    yield from _settings(config)
    yield from _names(config)
    yield from _ids(config)
    yield from _loaded(config)
    if not config.strategies:
        yield error(
            "strategy",
            "no router and no routing group has routing_strategy: routebalance",
            f"routebalance init --config {config.file} proposes the lines to add",
        )
        return
    for strategy in config.strategies:
        yield from _group(config, strategy)
    yield from _prices(config)
    for strategy in config.strategies:
        yield from _knowledge(config, strategy)


def _environment(config: Configuration) -> Iterator[Finding]:
    unset = sorted(set(_unset_names(config.content)))
    if unset:
        yield warn(
            "environment",
            f"the configuration names variables that are not set here: {', '.join(unset)}",
            "set them as the proxy will have them, or take the findings below with that in mind",
        )
    late = [name for name in unset if name in _mapping(config.content.get("environment_variables"))]
    if late:
        # LiteLLM 1.108.7 and 1.110.2: findings/litellm-own-variables-come-too-late.sh.
        yield warn(
            "environment",
            f"environment_variables sets {', '.join(late)} after LiteLLM has read every os.environ/ of the "
            "file: what names them there gets nothing",
            "set them in the proxy's own environment",
        )


def _unset_names(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("os.environ/"):
        name = value.removeprefix("os.environ/")
        if name not in os.environ:
            yield name
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _unset_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _unset_names(item)


def _settings(config: Configuration) -> Iterator[Finding]:
    wrong = [line for message in mistakes_in(config.content) for line in message.splitlines()]
    for line in wrong:
        yield error("settings", line, "correct it; with this the proxy does not start")
    if config.strategies and not wrong:
        yield ok("settings", "all settings of RouteBalance are understood")


def _names(config: Configuration) -> Iterator[Finding]:
    """Names travel in response headers and log lines, where not every character may stand."""
    groups = [_mapping(group).get("group_name") for group in _list(config.router.get("routing_groups"))]
    named = (
        [("model_name", entry.get("model_name")) for entry in config.entries]
        + [("model_info.id", _mapping(entry.get("model_info")).get("id")) for entry in config.entries]
        + [("group_name", group) for group in groups]
    )
    for where, name in dict.fromkeys((where, name) for where, name in named if isinstance(name, str)):
        if name != header_value(name):
            yield warn(
                "names",
                f"{where} {name[:64]!r} has characters or spaces that no response header may carry, or is "
                f"longer than {MAX_VALUE}",
                "name it in visible ASCII, without spaces at its ends",
            )


def _ids(config: Configuration) -> Iterator[Finding]:
    """LiteLLM serves several deployments of one id, but counts them as one, as all do who go by ids."""
    groups: dict[str, list[str]] = {}
    for entry in config.entries:
        id_ = _mapping(entry.get("model_info")).get("id")
        if id_ not in (None, ""):
            groups.setdefault(str(id_), []).append(str(entry.get("model_name")))
    for id_, names in groups.items():
        if len(names) > 1:
            yield warn(
                "ids",
                f"{len(names)} deployments have the id {header_value(id_)[:64]!r} "
                f"({', '.join(sorted(set(names))[:8])}): their load, latency, prices and cooldowns are one's",
                "give each its own model_info.id, or none",
            )


def _loaded(config: Configuration) -> Iterator[Finding]:
    callbacks = _mapping(config.content.get("litellm_settings")).get("callbacks")
    if _CALLBACK in (callbacks if isinstance(callbacks, list) else [callbacks]):
        yield ok(
            "loading", f"litellm_settings.callbacks names {_CALLBACK}: started by `litellm` or `rb-litellm`"
        )
    elif config.strategies:
        yield ok(
            "loading",
            f"to be started by `rb-litellm`; for `litellm` add {_CALLBACK} to litellm_settings.callbacks",
        )


def _group(config: Configuration, strategy: Strategy) -> Iterator[Finding]:
    members = config.members(strategy)
    name = strategy.where.removeprefix("router_settings.")
    models = sorted({d.group for d in members})
    choices = {d.group for d in members} if strategy.group is None else {None}
    most = max(
        (len(members) if c is None else sum(d.group == c for d in members) for c in choices), default=0
    )
    if not members and config.in_database:
        yield ok("members", f"{name}: its models are kept in the database")
    elif not members:
        yield error(
            "members",
            f"{name} has no deployment to choose from",
            "name model groups of model_list in its models, or take them out of other groups",
        )
    elif len(members) == 1:
        yield warn(
            "members",
            f"{name} has a single deployment, {members[0].model}: nothing is there to choose",
            "add deployments, or models to the group",
        )
    elif most == 1 and not any("*" in d.group for d in members):
        yield warn(
            "members",
            f"{name}: each of {_counted(models)} has a single deployment, and clients name the model: "
            "nothing is there to choose",
            "add deployments, or a routing group over the models (routing_groups with routing_strategy: "
            "routebalance), by whose name clients ask",
        )
    else:
        yield ok("members", f"{name}: {len(members)} deployments of {_counted(models)}")
    yield from _kinds(config, strategy, members)
    automatic = sorted({d.group for d in members if d.model.startswith("auto_router/")})
    if automatic:
        yield error(
            "members",
            f"{name} has auto routers of LiteLLM among its members: {', '.join(automatic)}",
            "name the models behind them instead: an auto router is no deployment and has no load",
        )
    wildcards = sorted(
        {d.group for d in members if "*" in d.group and not (strategy.group is None and _priced(d))}
    )
    if wildcards:
        yield warn(
            "members",
            f"{name} has wildcard models: {', '.join(wildcards)}",
            "list the models by name: of what a wildcard will match, no price and no quality is known",
        )


def _kinds(config: Configuration, strategy: Strategy, members: Sequence[Deployment]) -> Iterator[Finding]:
    """Models of several kinds that one name stands for. What is stated of a group, `settings` reports."""
    by_name: dict[str, list[Deployment]] = {}
    for d in members:
        by_name.setdefault(strategy.group or d.group, []).append(d)
    for name, its in by_name.items():
        kinds: dict[str, list[str]] = {}
        for d in its:
            if d.group not in kinds.setdefault(config.kinds[d.id], []):
                kinds[config.kinds[d.id]].append(d.group)
        stated = {config.modes[d.id] for d in its} - {None}
        if len(kinds) == 1 or (len(stated) > 1 and strategy.group is not None):
            continue
        if stated - {CHAT}:
            yield error(
                "members",
                f"{name} stands for models of several kinds: {told_kinds(kinds)}",
                "give each kind a name of its own: a request of one kind fails on the others",
            )
        else:
            yield warn(
                "members",
                f"{name} mixes {told_kinds(kinds)}, as far as names tell; "
                "a request of one kind fails on the others",
                "take the others out, or say model_info.mode: chat of those that do answer chats",
            )


def _prices(config: Configuration) -> Iterator[Finding]:
    routed = config.routed()
    unpriced = sorted({d.group for d in routed if not _priced(d)})
    if unpriced:
        yield warn(
            "prices",
            f"no price is known of {_counted(unpriced)}: taken for the median of the other candidates",
            "set input_cost_per_token and output_cost_per_token in their litellm_params (0 for free)",
        )
    elif routed:
        yield ok("prices", f"known for all {len(routed)} deployments")


def _priced(deployment: Deployment) -> bool:
    """Whether its price is known; a wildcard's, where its provider's models are in LiteLLM's map."""
    if not math.isnan(deployment.input_usd_per_token + deployment.output_usd_per_token):
        return True
    return "*" in deployment.model and has_prices(deployment.model.partition("/")[0])


def _knowledge(config: Configuration, strategy: Strategy) -> Iterator[Finding]:
    # Of an embedding, a picture or speech no quality is predicted.
    members = [d for d in config.members(strategy) if config.kinds[d.id] == CHAT]
    if strategy.settings.predictor != "none":
        yield from taken_for.findings([d for d in members if "*" not in d.model])
    try:
        source = source_of(strategy.settings)
    except (PredictorError, SettingsError):
        return  # reported by `settings`
    by_origin: dict[str, set[str]] = {}
    for d in members:
        if "*" in d.model:
            continue  # what is known of it is known of the model that a request names
        by_origin.setdefault(_origin(source, d, strategy.settings.predictor), set()).add(d.group)
    guessed = sorted(by_origin.pop("guessed", ()))
    name = strategy.where.removeprefix("router_settings.")
    for origin, groups in sorted(by_origin.items()):
        yield ok("quality", f"{name}: {origin} for {_counted(sorted(groups))}")
    if guessed:
        yield warn(
            "quality",
            f"{name}: nothing tells how good {_counted(guessed)} may be: taken for a model of medium size",
            "set model_info.routebalance.like (a model that it is like) or quality, or train a predictor",
        )


def _origin(source: PredictionSource, deployment: Deployment, predictor: object) -> str:
    info = model_info(deployment)
    if source.knows(info):
        return f"the predictor ({source.version}) speaks"
    if info.quality is not None:
        return "quality is configured"
    if predictor != "none" and packaged().known(info).name is not None:
        return "quality is what is published of the model"
    if size_billions(info.model) or size_billions(info.key):
        return "quality is guessed from the size in the name"
    if info.usd_per_million_tokens:
        return "quality is guessed from the price"
    return "guessed"


def _counted(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} model{'s' if len(names) != 1 else ''} ({shown})"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
