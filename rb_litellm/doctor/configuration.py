"""Checks of a configuration file alone: strategy, groups, members, prices, what is known of the models."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rb_litellm.candidates import model_info
from rb_litellm.config import RouteBalanceSettings, SettingsError, parse_settings
from rb_litellm.core.fleet import Deployment
from rb_litellm.doctor import taken_for
from rb_litellm.doctor.finding import Finding, error, ok, warn
from rb_litellm.litellm_adapter.proxy.preflight import mistakes, strategies
from rb_litellm.litellm_adapter.shared.catalog import mode_of, read_deployment
from rb_litellm.predictors.model import Predictor, PredictorError
from rb_litellm.predictors.priors import size_billions
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.telemetry.headers import header_value

_CALLBACK = "rb_litellm.proxy"
_PRICES = ("input_cost_per_token", "output_cost_per_token")


class Configuration:
    """A configuration that could be read, and what the checks below ask of it again and again."""

    def __init__(self, file: Path, content: Mapping[str, Any]) -> None:
        self.file = file
        self.content = content
        self.router = _mapping(content.get("router_settings"))
        self.entries = [_mapping(entry) for entry in _list(content.get("model_list"))]
        self.strategies = [Strategy(*found) for found in strategies(content)]
        self.deployments = [_deployment(number, entry) for number, entry in enumerate(self.entries)]
        self.modes = {d.id: mode_of(e) for d, e in zip(self.deployments, self.entries, strict=True)}
        """chat, embedding, image_generation, ..., by deployment; None where nobody says."""

    def members(self, strategy: Strategy) -> list[Deployment]:
        """The deployments that a strategy chooses among."""
        if strategy.models:
            return [d for d in self.deployments if d.group in strategy.models]
        claimed = {
            model
            for group in _list(self.router.get("routing_groups"))
            for model in _list(_mapping(group).get("models"))
        }
        return [d for d in self.deployments if d.group not in claimed]

    def quality_known(self, deployment: Deployment) -> bool:
        """Whether a setting or a predictor says how good it is."""
        return deployment.quality is not None or any(
            deployment in self.members(strategy) and _source(strategy.settings).knows(model_info(deployment))
            for strategy in self.strategies
        )

    def routed(self) -> list[Deployment]:
        """The deployments that any strategy of ours chooses among."""
        chosen = {d.id for strategy in self.strategies for d in self.members(strategy)}
        return [d for d in self.deployments if d.id in chosen]


class Strategy:
    """The router's own strategy, or that of one routing group."""

    def __init__(self, where: str, models: Sequence[Any], arguments: Any) -> None:
        self.where = where
        self.group = where.partition("(")[2].rstrip(")") or None
        """None for the router's own."""
        self.models = [str(model) for model in models]
        try:
            self.settings = parse_settings(arguments, where)
        except SettingsError:  # reported by `settings`; the other checks go on with the defaults
            self.settings = RouteBalanceSettings()


def check(config: Configuration) -> Iterator[Finding]:
    """All findings that the file alone gives."""
    yield from _environment(config)
    yield from _settings(config)
    yield from _names(config)
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
    wrong = [line for message in mistakes(config.file) for line in message.splitlines()]
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
                f"{where} {name[:64]!r} has characters or spaces that no response header may carry",
                "name it in visible ASCII, without spaces at its ends",
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
    if _mapping(config.content.get("general_settings")).get("store_model_in_db") is True and not members:
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
    else:
        yield ok("members", f"{name}: {len(members)} deployments of {_counted(models)}")
    kinds = {d.generates for d in members}
    if len(kinds) > 1:
        silent = sorted({d.group for d in members if not d.generates})
        yield error(
            "members",
            f"{name} mixes models that write answers with models that do not ({', '.join(silent)})",
            "give them groups of their own: a request of the one kind fails on the other",
        )
    automatic = sorted({d.group for d in members if d.model.startswith("auto_router/")})
    if automatic:
        yield error(
            "members",
            f"{name} has auto routers of LiteLLM among its members: {', '.join(automatic)}",
            "name the models behind them instead: an auto router is no deployment and has no load",
        )
    wildcards = sorted({d.group for d in members if "*" in d.group})
    if wildcards:
        yield warn(
            "members",
            f"{name} has wildcard models: {', '.join(wildcards)}",
            "list the models by name: of what a wildcard will match, no price and no quality is known",
        )


def _prices(config: Configuration) -> Iterator[Finding]:
    routed = config.routed()
    unpriced = sorted(
        {d.group for d in routed if math.isnan(d.input_usd_per_token) or math.isnan(d.output_usd_per_token)}
    )
    if unpriced:
        yield warn(
            "prices",
            f"no price is known of {_counted(unpriced)}: taken for the median of the other candidates",
            "set input_cost_per_token and output_cost_per_token in their litellm_params (0 for free)",
        )
    elif routed:
        yield ok("prices", f"known for all {len(routed)} deployments")


def _knowledge(config: Configuration, strategy: Strategy) -> Iterator[Finding]:
    members = config.members(strategy)
    if strategy.settings.predictor != "none":
        yield from taken_for.findings(members)
    try:
        source = _source(strategy.settings)
    except (PredictorError, SettingsError):
        return  # reported by `settings`
    by_origin: dict[str, set[str]] = {}
    for d in members:
        by_origin.setdefault(_origin(source, d), set()).add(d.group)
    guessed = sorted(by_origin.pop("guessed", ()))
    name = strategy.where.removeprefix("router_settings.")
    for origin, groups in sorted(by_origin.items()):
        yield ok("quality", f"{name}: {origin} for {_counted(sorted(groups))}")
    if guessed:
        yield warn(
            "quality",
            f"{name}: nothing tells how good {_counted(guessed)} may be: taken for a model of medium size",
            "set model_info.routebalance.quality (routebalance init proposes figures) or train a predictor",
        )


def _source(settings: RouteBalanceSettings) -> PredictionSource:
    if isinstance(settings.predictor, str):
        return PredictionSource()
    return PredictionSource(Predictor.load(settings.predictor.path), settings.predictor.models)


def _origin(source: PredictionSource, deployment: Deployment) -> str:
    info = model_info(deployment)
    if source.knows(info):
        return f"the predictor ({source.version}) speaks"
    if info.quality is not None:
        return "quality is configured"
    if size_billions(info.model) or size_billions(info.key):
        return "quality is guessed from the size in the name"
    if info.usd_per_million_tokens:
        return "quality is guessed from the price"
    return "guessed"


def _deployment(number: int, entry: Mapping[str, Any]) -> Deployment:
    info = {**_priced(_mapping(entry.get("model_info"))), "id": f"model_list.{number}"}
    params = _priced(_mapping(entry.get("litellm_params")))
    return read_deployment({**entry, "model_info": info, "litellm_params": params}, lambda *_: None)


def _priced(holder: Mapping[str, Any]) -> dict[str, Any]:
    """With prices as LiteLLM takes them: 6e-8 without a point is a string to YAML, and a number to it."""
    prices = {name: _number(holder[name]) for name in _PRICES if isinstance(holder.get(name), str)}
    return {**holder, **prices}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _counted(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} model{'s' if len(names) != 1 else ''} ({shown})"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
