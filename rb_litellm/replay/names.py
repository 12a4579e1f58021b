"""The names by which a log knows its models and servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from rb_litellm.logs.decisions import decided_group
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.predictors.names import AmbiguousName, listed, provider_name, resolve, trained_name


class LogNames:
    """What each name in a log stands for: group, LiteLLM's name, provider's name, deployment."""

    def __init__(self, logged: Sequence[LoggedCall], calls: Sequence[LoggedCall]) -> None:
        """`logged` are the calls as the log has them, `calls` the same told apart by server."""
        self.models: dict[str, set[str]] = defaultdict(set)
        """Names -> models."""
        self.servers: dict[str, set[str]] = defaultdict(set)
        """Names -> servers."""
        for before, call in zip(logged, calls, strict=True):
            names = {call.model, before.model, call.deployment, before.deployment, call.group}
            names |= {provider_name(call.model), decided_group(call)}
            for name in names - {""}:
                self.models[name].add(call.model)
                self.servers[name].add(call.deployment)
        # A server's own name is that server, whatever else is called so.
        for call in calls:
            self.servers[call.deployment] = {call.deployment}

    def model(self, name: str, what: str) -> str:
        """The model of that name.

        Raises:
            ValueError: no such name, or it may be several; lists what there is.
        """
        return resolve(name, self.models, what)

    def servers_of(self, name: str, what: str) -> Collection[str]:
        """The server of that name, or all servers of the model of that name.

        Raises:
            ValueError: no such name, or servers of several models go by it.
        """
        if name in self.servers and self.servers[name] == {name}:
            return {name}
        resolve(name, self.models, what)
        return self.servers[name]

    def of_model(self, model: str) -> set[str]:
        """All names that stand for this model and no other."""
        return {name for name, models in self.models.items() if models == {model}}


def predictor_names(
    names: LogNames, models: Iterable[str], known: Collection[str], given: Mapping[str, str]
) -> dict[str, str]:
    """The predictor's name of each model that it was trained on: what was given, else the one name that both
    know.

    Raises:
        ValueError: the predictor has no such name, or knows a model by several; lists them.
    """
    told = {names.model(name, "--name"): name_there for name, name_there in given.items()}
    found = {}
    for model in {*models, *told}:
        try:
            name_there = trained_name({model, *names.of_model(model)}, known, told)
        except AmbiguousName as error:
            raise AmbiguousName(f"{error}; say which with --name {model}=NAME") from None
        if name_there is not None:
            found[model] = name_there
        elif model in told:
            raise ValueError(
                f"--name {model}={told[model]}: the predictor has no such name; it has {listed(known)}"
            )
    return found
