"""Which server each call of a log went to: a deployment, or one of the models behind it.

A deployment with a wildcard (`openai/*`) serves models that have nothing in common but their address; each is
a server of its own here. A model may stand under several names in a log.
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
    """The name by which each model is called, of those that the log has for it the most frequent.

    Names are of one model where they differ in capitals alone, and where one lacks the only provider that
    the log has for it; then the longer one is taken.
    """
    counts = Counter(names)
    providers: dict[str, set[str]] = defaultdict(set)
    for name in counts:
        if "/" in name:
            providers[_bare(name)].add(name.lower())
    whole = {name: next(iter(told)) for name, told in providers.items() if len(told) == 1}
    spelled: dict[str, set[str]] = defaultdict(set)
    for name in counts:
        longer = name.lower()
        while longer in whole:
            longer = whole[longer]
        spelled[longer].add(name)
    usual = {
        whole_name: max((name for name in some if name.lower() == whole_name), key=lambda n: (counts[n], n))
        for whole_name, some in spelled.items()
    }
    return {name: usual[whole_name] for whole_name, some in spelled.items() for name in some}


def _bare(name: str) -> str:
    """A model's name without its provider."""
    return name.lower().partition("/")[2] or name.lower()
