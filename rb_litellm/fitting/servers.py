"""Which server each call of a log went to: a deployment, or one of the models behind it.

A deployment with a wildcard (`openai/*`) serves models that have nothing in common but their address; each is
a server of its own here. A model that the log names with and without its provider is one model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rb_litellm.logs.spend_logs import LoggedCall


def apart(calls: Sequence[LoggedCall]) -> list[LoggedCall]:
    """The calls, each with the server as its deployment and one name for each model."""
    one_name = _one_name(call.model for call in calls)
    models: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        models[call.deployment].add(one_name[call.model])
    told = []
    for call in calls:
        model, deployment = one_name[call.model], call.deployment
        if len(models[deployment]) > 1:
            deployment = f"{deployment} ({model})"
        same = model == call.model and deployment == call.deployment
        told.append(call if same else replace(call, model=model, deployment=deployment))
    return told


def _one_name(names: Iterable[str]) -> Mapping[str, str]:
    """The name by which each model is called: with its provider, where the log has that too and no other."""
    counts = Counter(names)
    longer: dict[str, set[str]] = defaultdict(set)
    for name in counts:
        if "/" in name:
            longer[name.split("/", 1)[1]].add(name)
    return {name: next(iter(longer[name])) if len(longer[name]) == 1 else name for name in counts}
