"""One way to name a model: the same name means the same model wherever a user writes it.

A model is known by its group in the proxy, by LiteLLM's name (`hosted_vllm/qwen2.5-7b`), by its provider's
name (`qwen2.5-7b`) and by its deployments. Every one of these names it, as long as it names nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

_SHOWN = 20


class UnknownName(ValueError):
    """A name that stands for nothing; lists what there is."""


class AmbiguousName(ValueError):
    """A name that stands for several models; lists them."""


def provider_name(name: str) -> str:
    """The name without LiteLLM's prefix for the provider."""
    return name.split("/", 1)[-1]


def same_model(name: str, known: Iterable[str]) -> str | None:
    """Which of the known names is this model's: the very same, else the one that differs by the provider
    alone.

    Raises:
        AmbiguousName: several differ by the provider alone.
    """
    names = list(dict.fromkeys(known))
    if name in names:
        return name
    bare = provider_name(name)
    # Two names with different providers are two models.
    alike = [one for one in names if (one == bare or (provider_name(one) == name))]
    if len(alike) > 1:
        raise AmbiguousName(f"{name!r} may be any of {listed(alike)}")
    return alike[0] if alike else None


def trained_name(names: Collection[str], known: Collection[str], given: Mapping[str, str]) -> str | None:
    """What a predictor that knows models by the names `known` calls the model that goes by `names`.

    What `given` says of one of its names, else the name that both share, else the one that differs by the
    provider alone. None where the predictor does not know the model.

    Raises:
        AmbiguousName: it may be several of the known models.
    """
    own = sorted(set(names) - {""})
    told = {given[name] for name in own if name in given}
    if len(told) > 1:
        raise AmbiguousName(f"{listed(own)} name one model, which is said to be any of {listed(told)}")
    if told:
        return same_model(told.pop(), known)
    alike = set(own) & set(known) or {one for one in known if provider_name(one) in own}
    if len(alike) > 1:
        raise AmbiguousName(f"the predictor knows {listed(own)} by several names: {listed(alike)}")
    return alike.pop() if alike else None


def resolve(name: str, meanings: Mapping[str, Collection[str]], what: str) -> str:
    """The one thing that a name stands for, out of what each name stands for.

    Raises:
        UnknownName: no such name.
        AmbiguousName: it stands for several.
    """
    found = set(meanings.get(name, ()))
    if not found:
        raise UnknownName(f"{what} {name!r}: there is no such name; there are {listed(meanings)}")
    if len(found) > 1:
        raise AmbiguousName(f"{what} {name!r} may be any of {listed(found)}")
    return found.pop()


def listed(names: Iterable[str]) -> str:
    """The names for an error, the first of them where they are many."""
    told = sorted(set(names))
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return ", ".join(told[:_SHOWN]) + more
