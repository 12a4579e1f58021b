"""What the default predictor takes each model for, and how sure that is, in words for an operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rb_litellm.balancing.candidates import model_info
from rb_litellm.core.fleet import Deployment
from rb_litellm.doctor.finding import Finding, ok, warn
from rb_litellm.predictors.default.abilities import Known
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.default.naming import resolve

SURE = 0.5
"""Certainty from which nothing needs to be done."""
_HOW = {
    "name": "",
    "quantised": ", quantised",
    "dated": " of another date",
    "version": ", the nearest that is known",
    "derived": ", which it derives from",
}
_BY = {
    "family and size": "its family and size",
    "size": "the size in its name",
    "price": "its price",
    "context": "its context window",
}


def models_taken_for(deployments: Iterable[Deployment]) -> dict[str, Known]:
    """What each LiteLLM model name is taken for, in the order in which they are met."""
    return {each.model: packaged().known(model_info(each)) for each in deployments}


def told(model: str, known: Known) -> str:
    """One line on one model."""
    if known.name is not None:
        line = f"{model} is taken for {known.name}{_HOW.get(known.how, ', as `like` says')}"
    elif known.how in _BY:
        line = f"{model} is in no table; it is judged by {_BY[known.how]}"
    else:
        line = f"{model} is not recognised; it is taken for a model of medium size"
    more = "" if known.certainty >= SURE else "; model_info.routebalance.like may name a better one"
    if tasks := packaged().graded_tasks(known):
        more = f"; answers of {known.name} to {tasks} task{'s' * (tasks > 1)} are known{more}"
    return f"{line} (certainty {known.certainty:.2f}){more}"


def findings(deployments: Iterable[Deployment]) -> Iterator[Finding]:
    """One finding per model, and one for each `like` that names none."""
    held = list(deployments)
    for model, known in models_taken_for(held).items():
        yield ok("models", told(model, known))
    for model, like in dict.fromkeys((each.model, each.like) for each in held if each.like):
        if resolve(like).entry is None:
            yield warn(
                "models",
                f"{model}: model_info.routebalance.like: {like!r} is a model that nothing is known of, and "
                "counts for nothing",
                "name one by its public name, such as gpt-4o-mini or qwen2.5-7b-instruct, or take it out",
            )
