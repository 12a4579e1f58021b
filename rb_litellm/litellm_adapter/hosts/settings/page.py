"""What the Admin UI's Router Settings page shows of us: the strategy among the others, and its arguments.

The page draws a field of text for every router setting that it is told of, but none for the arguments of
strategies that it does not know. So the arguments of each of our strategies are told once more, as JSON under
a name of our own; and what is saved under that name is put in the place of the arguments before LiteLLM
stores it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal, get_args

from rb_litellm.litellm_adapter.hosts.host import STRATEGY, is_ours

DESCRIPTION = (
    "Routes to the jointly best deployment by predicted quality, latency under present load, and cost."
)
FIELD = "routebalance_args"
MAX_GROUPS = 32
"""Routing groups whose arguments have a field."""
_ARGS = "routing_strategy_args"
_HELP = 'weights, slo, mode, predictor and the other routing_strategy_args as JSON, e.g. {"weights": "cost"}'

Settings = Mapping[str, Any]
"""Router settings as LiteLLM's `Router.get_settings` tells them."""


def offer_strategy(descriptions: MutableMapping[str, str], router: Any) -> None:
    """List the strategy where the page reads what it may offer: descriptions, and a Router's signature."""
    descriptions[STRATEGY] = DESCRIPTION
    signature = inspect.signature(router.__init__)
    parameter = signature.parameters["routing_strategy"]
    names = get_args(parameter.annotation)
    if names and STRATEGY not in names:
        choices = (*names, STRATEGY)
        literal: Any = Literal
        annotation = literal[choices]
        parameters = [
            p.replace(annotation=annotation) if p.name == parameter.name else p
            for p in signature.parameters.values()
        ]
        router.__init__.__signature__ = signature.replace(parameters=parameters)


def fields(settings: Settings) -> dict[str, str]:
    """Our fields by name, and what they show: arguments of the router's own strategy and of its groups."""
    ours = _arguments(settings)
    shown: list[str | None] = [None] if None in ours else []
    shown += sorted(group for group in ours if group)[:MAX_GROUPS]
    return {f"{FIELD}:{group}" if group else FIELD: json.dumps(ours[group] or {}) for group in shown}


def label(names: Iterable[str], known: list[Any], field: Callable[..., Any]) -> None:
    """Describe these fields, and no others of ours, among settings `known` to the page; `field` makes one."""
    others = [one for one in known if not is_field(one.field_name)]
    known[:] = others + [
        field(
            field_name=name,
            field_type="String",
            field_value=None,
            field_description=_HELP,
            ui_field_name=" ".join(["RouteBalance", *filter(None, [_group(name)])]),
        )
        for name in names
    ]


def take_in(new: MutableMapping[str, Any], current: Settings) -> list[str]:
    """Put what was edited on the page where LiteLLM looks for it; messages on what cannot be read.

    `new` are settings that are about to be stored. A field that shows what is in force changes nothing.
    Groups that come without arguments keep those that they have: the page's editor of groups sends none for
    strategies that it does not know. Whoever wants the defaults sends {}.
    """
    wrong: list[str] = []
    edited: dict[str | None, Any] = {}
    shown = fields(current)
    for name in [name for name in new if is_field(name)]:
        text = new.pop(name)
        if name in shown and text != shown[name]:
            try:
                edited[_group(name)] = _parsed(text)
            except ValueError:
                wrong.append(
                    f'{name}: not a JSON object (value {text!r}); allowed is e.g. {{"weights": "cost"}}'
                )
    # Another strategy may have been chosen on the same page: then there is nobody to have the arguments.
    own = edited.pop(None, None)
    if own is not None and is_ours(new.get("routing_strategy", STRATEGY)):
        new[_ARGS] = own
    if edited and "routing_groups" not in new:
        new["routing_groups"] = [dict(group) for group in current.get("routing_groups") or ()]
    known = {**_arguments(current), **edited}
    for group in new.get("routing_groups") or ():
        if isinstance(group, dict) and is_ours(group.get("routing_strategy")):
            its_name = group.get("group_name")
            if its_name in edited or (group.get(_ARGS) is None and its_name in known):
                group[_ARGS] = known[its_name]
    return wrong


def _arguments(settings: Settings) -> dict[str | None, Mapping[str, Any] | None]:
    """Arguments of our strategies by routing group, None for the router's own strategy."""
    found: dict[str | None, Mapping[str, Any] | None] = {
        str(group["group_name"]): group.get(_ARGS)
        for group in settings.get("routing_groups") or ()
        if is_ours(group.get("routing_strategy"))
    }
    if is_ours(settings.get("routing_strategy")):
        found[None] = settings.get(_ARGS)
    return found


def _parsed(text: object) -> dict[str, Any]:
    args = json.loads(text or "{}") if isinstance(text, str) else text
    if not isinstance(args, dict):
        raise ValueError(text)
    return args


def _group(field: str) -> str | None:
    return field.partition(":")[2] or None


def is_field(name: str) -> bool:
    """Whether a setting's name is that of a field of ours."""
    return name == FIELD or name.startswith(f"{FIELD}:")
