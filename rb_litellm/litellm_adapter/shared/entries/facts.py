"""Facts of a deployment, read from its LiteLLM entry: model, prices, limits, tier, and what serves it.

LiteLLM's map of models has what the entry does not say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from rb_litellm.config import DeploymentSettings, SettingsError, parse_deployment
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.excerpt import kept_name
from rb_litellm.litellm_adapter.shared.entries import several_answers
from rb_litellm.litellm_adapter.shared.entries.effort_levels import levels_of
from rb_litellm.state.servers.addresses import server_at
from rb_litellm.state.servers.metrics import metrics_url

_SELF_HOSTED = frozenset(
    {"hosted_vllm", "vllm", "sglang", "triton", "xinference"}
    | {"ollama", "ollama_chat", "llamafile", "lm_studio"}
)
_ONE_MODEL = frozenset({"hosted_vllm", "vllm", "sglang", "llamafile"})
"""Servers that run one model, under whatever names: adapters and aliases are as quick as their base."""
_SERVED_BY = (
    "api_base",
    "base_url",
    "api_version",
    "custom_llm_provider",
    "region_name",
    "aws_region_name",
    "vertex_location",
    "vertex_project",
    "reasoning_effort",
    "thinking",
    "extra_body",
    "extra_headers",
)
"""Settings of a deployment that make it another server, or the same one answer otherwise."""
WRITING = frozenset({"chat", "completion", "responses"})
"""Modes of LiteLLM's map whose models answer in text as long as a limit lets them."""
_ANY_MODEL = "(any model)"


def read_deployment(entry: Mapping[str, Any], warn: Any, default_parallel: int | None = None) -> Deployment:
    """Facts of one LiteLLM entry; `warn(subject, message)` is told what had to be guessed."""
    info: Mapping[str, Any] = entry["model_info"]
    params = with_credential(entry["litellm_params"])
    group = str(entry.get("model_name", ""))
    # Behind a wildcard it is what a client has written, and it is kept in many places.
    model = kept_name(str(params.get("model", group)))
    try:
        settings = parse_deployment(info.get("routebalance"), f"model_info.routebalance of {group}")
    except SettingsError as error:
        warn(f"settings:{info['id']}", f"{error}; these settings are ignored")
        settings = DeploymentSettings()
    mapped = dict(next(_cost_map_entries(model, info), {}))
    hosted = settings.hosted if settings.hosted is not None else not is_self_hosted(model, params)
    prior = latency_prior(
        model,
        hosted,
        settings.tpot_ms,
        settings.ttft_ms,
        settings.max_num_seqs,
        settings.prefill_ms_per_1k_tokens,
        settings.tpot_ms_per_running,
    )
    input_price = _price("input_cost_per_token", params, info, mapped)
    output_price = _price("output_cost_per_token", params, info, mapped)
    mode = mode_of(entry)
    if math.isnan(input_price) or math.isnan(output_price):
        warn(
            f"price:{group}" if is_wildcard(entry) else f"price:{group}:{model}",
            f"no price is known for {model} (model group {group}): set input_cost_per_token and "
            "output_cost_per_token in its litellm_params; until then it is taken for the median of the "
            "other candidates",
        )
    server, engine = ("", "") if hosted else _engine(model, params)
    its = Deployment(
        id=str(info["id"]),
        server=server,
        engine=engine,
        group=group,
        model=model,
        tier=settings.tier or f"{model}|{hosted}|{prior.tpot_s:g}|{prior.slots:g}",
        prior=prior,
        input_usd_per_token=input_price,
        output_usd_per_token=output_price,
        address=_address(params),
        cached_usd_per_token=_price("cache_read_input_token_cost", params, info, mapped),
        # LiteLLM's map has 0 where a provider has no such price.
        written_usd_per_token=_price("cache_creation_input_token_cost", params, info, mapped) or math.nan,
        context_window=whole_number(info.get("max_input_tokens") or mapped.get("max_input_tokens")),
        base_model=str(info["base_model"]) if info.get("base_model") else None,
        like=settings.like,
        serves=_serves(model, info, params),
        mocked=params.get("mock_response") is not None,
        takes_n=several_answers.taken(model, params),
        generates=mode is None or mode in WRITING,
        quality=settings.quality,
        output_tokens=settings.output_tokens,
        weight=_amount(params.get("weight")),
        rpm=_amount(_limit(entry, "rpm")),
        tpm=_amount(_limit(entry, "tpm")),
        max_parallel=_slots(params, default_parallel),
    )
    if not settings.efforts:
        return its
    return replace(its, levels=levels_of(its, settings.efforts, params, mapped, warn))


def with_credential(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters, with what LiteLLM will add for `litellm_credential_name`: an address, for one."""
    name = params.get("litellm_credential_name")
    if not name:
        return params
    import litellm

    for credential in getattr(litellm, "credential_list", None) or ():
        if getattr(credential, "credential_name", None) == name:
            return {**(getattr(credential, "credential_values", None) or {}), **params}
    return params


def _engine(model: str, params: Mapping[str, Any]) -> tuple[str, str]:
    """The address of what serves a self-hosted deployment, and which of the engines there it is."""
    base = params.get("api_base") or params.get("base_url")
    server = server_at(base) if isinstance(base, str) else None
    if server is None:
        return "", ""
    return server, _ANY_MODEL if _provider(model, params) in _ONE_MODEL else model


def _serves(model: str, info: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """A digest of what answers under a deployment's id; prices, limits and credentials have no part in it."""
    said = [model, *(repr(params.get(name)) for name in _SERVED_BY), repr(info.get("base_model"))]
    return blake2b("\n".join(said).encode("utf-8", "replace"), digest_size=8).hexdigest()


def is_drained(entry: Mapping[str, Any]) -> bool:
    """Whether its operator wants a LiteLLM entry to get nothing while another is there."""
    return _amount((entry.get("litellm_params") or {}).get("weight")) == 0.0


def mode_of(entry: Mapping[str, Any]) -> str | None:
    """What a LiteLLM entry is for (chat, embedding, rerank, ...), None where nobody says."""
    # A file that nobody has checked yet may hold anything there.
    info, params = (
        part if isinstance(part := entry.get(name), Mapping) else {}
        for name in ("model_info", "litellm_params")
    )
    model = str(params.get("model", ""))
    # A model with prices of its own gets an entry in the map under its whole name, without a mode.
    stated = (info, *_cost_map_entries(model, info))
    mode = next((found["mode"] for found in stated if found.get("mode")), None)
    return None if mode is None else str(mode)


def has_prices(provider: str) -> bool:
    """Whether LiteLLM's map has prices of this provider's models; `*` stands for all providers."""
    import litellm

    entries = (entry for entry in litellm.model_cost.values() if isinstance(entry, Mapping))
    return provider == "*" or any(
        entry.get("litellm_provider") == provider and entry.get("input_cost_per_token") for entry in entries
    )


def _cost_map_entries(model: str, info: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What LiteLLM's map has of a model, by its most exact name first."""
    import litellm

    for name in (info.get("base_model"), model, model.split("/", 1)[-1]):
        found = litellm.model_cost.get(name) if isinstance(name, str) else None
        if found:
            yield found


def _price(name: str, params: Mapping[str, Any], info: Mapping[str, Any], mapped: Mapping[str, Any]) -> float:
    for source in (params, info, mapped):
        value = source.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value < math.inf:
            return float(value)
    # Models that write nothing have an input price alone.
    if name == "output_cost_per_token" and mapped.get("mode") == "embedding":
        return 0.0
    return math.nan


def _provider(model: str, params: Mapping[str, Any]) -> str:
    return str(params.get("custom_llm_provider") or (model.split("/", 1)[0] if "/" in model else ""))


def _address(params: Mapping[str, Any]) -> str:
    base = params.get("api_base")
    try:
        return urlsplit(base).netloc.rpartition("@")[2] if isinstance(base, str) else ""
    except ValueError:
        return ""


def is_self_hosted(model: str, params: Mapping[str, Any]) -> bool:
    """Whether a deployment with these parameters is a server of one's own, by provider or address."""
    if _provider(model, params) in _SELF_HOSTED:
        return True
    base = params.get("api_base")
    if not isinstance(base, str) or not base:
        return False
    try:
        parts = urlsplit(base)
    except ValueError:
        return False
    host = parts.hostname or ""
    # Plain HTTP, a bare host name or a private suffix is nobody's public API.
    return parts.scheme == "http" or "." not in host or host.endswith((".local", ".internal", ".svc"))


def metrics_of(model: str, info: Mapping[str, Any], params: Mapping[str, Any]) -> str | None:
    """Where a self-hosted deployment has its metrics; None for any other."""
    try:
        settings = parse_deployment(info.get("routebalance"), "")
    except SettingsError:
        settings = DeploymentSettings()  # warned of where the facts were read
    if settings.scrape_url is not None:
        return settings.scrape_url
    hosted = settings.hosted if settings.hosted is not None else not is_self_hosted(model, params)
    base = params.get("api_base")
    try:
        return None if hosted or not isinstance(base, str) else metrics_url(base)
    except ValueError:
        return None


def _limit(entry: Mapping[str, Any], name: str) -> object:
    """Where LiteLLM looks for `rpm` and `tpm`, in its order."""
    for place in (entry, entry["litellm_params"], entry["model_info"]):
        if place.get(name) is not None:
            return place[name]
    return None


def _slots(params: Mapping[str, Any], default: int | None) -> float | None:
    """Requests at once that LiteLLM lets a deployment have; None where it sets no limit."""
    from litellm.utils import calculate_max_parallel_requests

    try:
        slots = calculate_max_parallel_requests(
            max_parallel_requests=params.get("max_parallel_requests"),
            rpm=params.get("rpm"),
            tpm=params.get("tpm"),
            default_max_parallel_requests=default,
        )
    except (TypeError, ValueError):
        return None
    # Of 0, LiteLLM makes no limit.
    return _amount(slots) or None


def _amount(value: object) -> float | None:
    """A number from 0 up, also where a settings page has stored it as text; None for all else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = float(value)
    except ValueError:
        return None
    return amount if 0.0 <= amount < math.inf else None


def whole_number(value: object) -> int | None:
    """A number without its fraction; None for all else."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return int(value)


def is_wildcard(entry: Mapping[str, Any]) -> bool:
    """Whether it serves whatever model is asked for by name (`openai/*`)."""
    return "*" in str(entry.get("model_name"))
