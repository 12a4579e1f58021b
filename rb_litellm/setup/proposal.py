"""Which lines a configuration needs to be routed by RouteBalance: a group, priors, and the callback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rb_litellm.core.decision.scoring import STANDARD
from rb_litellm.core.fleet import Deployment
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.doctor.taken_for import models_taken_for, told
from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigFile
from rb_litellm.litellm_adapter.shared.entries.model_kinds import CHAT
from rb_litellm.setup.config_edit import ConfigEdit

_CALLBACK = "rb_litellm.proxy"


class NothingToRoute(ValueError):
    """The configuration has no deployments that RouteBalance could choose among."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The files that change, with their new text, and what a reader should know of it."""

    texts: Mapping[Path, str]
    notes: tuple[str, ...]


def propose(
    config: Configuration, files: Sequence[ConfigFile], group: str | None = None, weights: str = STANDARD
) -> Proposal:
    """Add to `files`, which `config` was read from, what they lack; no text if they lack nothing.

    `group` is the name by which clients shall ask for the choice among all chat models.

    Raises:
        NothingToRoute: no model writes answers, or other groups have claimed all of them.
        CannotEdit: a file is laid out in a way that cannot be added to.
    """
    edit = ConfigEdit(files)
    notes: list[str] = []
    if config.strategies:
        notes.append("RouteBalance routes here already; only what it lacks is added")
        chosen = [d for d in config.routed() if config.kinds[d.id] == CHAT]
    else:
        chosen = _chat(config, notes)
        _add_strategy(edit, config, chosen, group, weights, notes)
    _tell_models(chosen, notes)
    _add_callback(edit, config)
    return Proposal(edit.results(), tuple(notes))


def _chat(config: Configuration, notes: list[str]) -> list[Deployment]:
    """Deployments of models that write answers to a chat and that no other group has claimed."""
    claimed = {
        str(model)
        for group in config.router.get("routing_groups") or ()
        if isinstance(group, Mapping) and group.get("routing_strategy") != "priority"
        for model in group.get("models") or ()
    }
    # A name that also stands for a model of another kind is no choice among chat models.
    other = {d.group for d in config.deployments if config.kinds[d.id] != CHAT}
    chat = [
        d
        for d in config.deployments
        if d.group not in other and "*" not in d.group and not d.model.startswith("auto_router/")
    ]
    guessed = {d.group: config.kinds[d.id] for d in config.deployments if config.modes[d.id] is None}
    by_name = [f"{name} ({kind})" for name, kind in guessed.items() if kind != CHAT]
    if by_name:
        notes.append(
            f"left out by their names: {', '.join(by_name)}; model_info.mode: chat takes one in nevertheless"
        )
    if not chat:
        raise NothingToRoute("model_list has no chat model by name: RouteBalance has nothing to choose among")
    free = [d for d in chat if d.group not in claimed]
    if not free:
        raise NothingToRoute("every chat model belongs to another routing group already; take some out first")
    return free


def _add_strategy(
    edit: ConfigEdit,
    config: Configuration,
    chosen: Iterable[Deployment],
    group: str | None,
    weights: str,
    notes: list[str],
) -> None:
    models = list(dict.fromkeys(d.group for d in chosen))
    arguments = {"weights": weights}
    if len(models) == 1 and group is None:
        # Nothing but the deployment is to be chosen, and clients ask for it as before.
        edit.set(("router_settings", "routing_strategy"), "routebalance")
        edit.set(("router_settings", "routing_strategy_args"), arguments)
        notes.append(f"clients go on asking for {models[0]}; each request goes to its best deployment")
        return
    name = group or _free_name(config)
    if name in _taken(config):
        raise NothingToRoute(f"--group {name}: a model, alias or group of this name is there already")
    entry = {
        "group_name": name,
        "models": models,
        "routing_strategy": "routebalance",
        "routing_strategy_args": arguments,
    }
    edit.append(("router_settings", "routing_groups"), entry)
    notes.append(
        f"clients ask for {name!r} to have the model chosen, or for a model to have its deployment chosen"
    )


def _taken(config: Configuration) -> set[str]:
    groups = [g for g in config.router.get("routing_groups") or () if isinstance(g, Mapping)]
    aliases = config.router.get("model_group_alias") or {}
    return {d.group for d in config.deployments} | {str(g.get("group_name")) for g in groups} | set(aliases)


def _free_name(config: Configuration) -> str:
    names = ("auto", "routebalance", "auto-routebalance")
    return next((name for name in names if name not in _taken(config)), "auto-routebalance-2")


def _tell_models(chosen: Iterable[Deployment], notes: list[str]) -> None:
    """What the default predictor takes each model for, so that no quality by hand is needed."""
    notes += [told(model, known) for model, known in models_taken_for(chosen).items()]


def _add_callback(edit: ConfigEdit, config: Configuration) -> None:
    settings = config.content.get("litellm_settings")
    callbacks = settings.get("callbacks") if isinstance(settings, Mapping) else None
    if _CALLBACK not in (callbacks if isinstance(callbacks, list) else [callbacks]):
        edit.append(("litellm_settings", "callbacks"), _CALLBACK)
