"""A configuration that could be read, as the doctor's checks and `init` ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rb_litellm.config import RouteBalanceSettings, SettingsError, parse_settings
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.proxy.starting.preflight import models_in_database, strategies
from rb_litellm.litellm_adapter.proxy.starting.shapes import PRICES, shaped
from rb_litellm.litellm_adapter.shared.entries.facts import is_self_hosted, read_deployment
from rb_litellm.litellm_adapter.shared.entries.model_kinds import guessed_kind, kind_of
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import Predictor


class Configuration:
    """A configuration that could be read, and what the checks below ask of it again and again."""

    def __init__(self, file: Path, content: Mapping[str, Any]) -> None:
        self.file = file
        content, misshapen = shaped(content)
        self.misshapen = [one.told for one in misshapen]
        self.content: Mapping[str, Any] = content
        """Without what is `misshapen`."""
        self.router = _mapping(content.get("router_settings"))
        self.entries = [_mapping(entry) for entry in _list(content.get("model_list"))]
        self.strategies = [Strategy(*found) for found in strategies(content)]
        credentials = _list(content.get("credential_list"))
        parameters = [_parameters(entry, credentials) for entry in self.entries]
        self.deployments = [
            _deployment(number, entry, params)
            for number, (entry, params) in enumerate(zip(self.entries, parameters, strict=True))
        ]
        self.parameters = {d.id: p for d, p in zip(self.deployments, parameters, strict=True)}
        """`litellm_params` by deployment, with what its credential adds."""
        by_id = list(zip((d.id for d in self.deployments), self.entries, strict=True))
        self.modes = {id_: kind_of(entry) for id_, entry in by_id}
        """What deployments are for as somebody states it (chat, embedding, image, ...); None: nobody does."""
        self.kinds = {id_: guessed_kind(entry) for id_, entry in by_id}
        """The same, where nobody states it as the name tells."""
        self.in_database = models_in_database(content)
        """Whether more models, and router settings, may come from a database."""

    def members(self, strategy: Strategy) -> list[Deployment]:
        """The deployments that a strategy chooses among."""
        if strategy.group is not None:
            return [d for d in self.deployments if d.group in strategy.models]
        claimed = {
            str(model)
            for group in _list(self.router.get("routing_groups"))
            for model in _list(_mapping(group).get("models"))
        }
        return [d for d in self.deployments if d.group not in claimed]

    def api_base(self, deployment: Deployment) -> str | None:
        """The address of its server, where it is self-hosted and the file or a credential says it."""
        base = self.parameters[deployment.id].get("api_base")
        if not isinstance(base, str) or base.startswith("os.environ/"):
            return None
        return base if is_self_hosted(deployment.model, self.parameters[deployment.id]) else None

    def api_key(self, deployment: Deployment) -> str | None:
        """The key that its server gets, where it is known here."""
        key = self.parameters[deployment.id].get("api_key")
        return key if isinstance(key, str) and not key.startswith("os.environ/") else None

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


def source_of(settings: RouteBalanceSettings) -> PredictionSource:
    """What a strategy's settings predict by; raises what a predictor's folder raises."""
    if isinstance(settings.predictor, str):
        return PredictionSource()
    return PredictionSource(Predictor.load(settings.predictor.path), settings.predictor.models)


def _parameters(entry: Mapping[str, Any], credentials: Sequence[Any]) -> Mapping[str, Any]:
    return {**_credential(entry, credentials), **_priced(_mapping(entry.get("litellm_params")))}


def _deployment(number: int, entry: Mapping[str, Any], params: Mapping[str, Any]) -> Deployment:
    info = {**_priced(_mapping(entry.get("model_info"))), "id": f"model_list.{number}"}
    return read_deployment({**entry, "model_info": info, "litellm_params": params}, lambda *_: None)


def _credential(entry: Mapping[str, Any], credentials: Sequence[Any]) -> Mapping[str, Any]:
    """What the entry's `litellm_credential_name` stands for in the file."""
    name = _mapping(entry.get("litellm_params")).get("litellm_credential_name")
    found = (c for c in map(_mapping, credentials) if name and c.get("credential_name") == name)
    return _mapping(next(found, {}).get("credential_values"))


def _priced(holder: Mapping[str, Any]) -> dict[str, Any]:
    """With prices as LiteLLM takes them: 6e-8 without a point is a string to YAML, and a number to it."""
    prices = {name: _number(holder[name]) for name in PRICES if isinstance(holder.get(name), str)}
    return {**holder, **prices}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
