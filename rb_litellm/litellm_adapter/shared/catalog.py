"""What is known of each deployment: its row, model, prices and tier, read once from its LiteLLM entry.

A pick hands over up to thousands of deployment dicts; reading prices and priors out of each for
every request would cost more than the decision. Facts are kept per deployment id and read again
when the entry they came from has changed.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from rb_litellm.config import DeploymentSettings, SettingsError, parse_deployment
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.excerpt import MAX_NAME, kept_name
from rb_litellm.litellm_adapter.shared import several_answers
from rb_litellm.litellm_adapter.shared.effort_levels import levels_of
from rb_litellm.state.servers.addresses import server_at
from rb_litellm.state.servers.metrics import metrics_url

MAX_BEHIND = 1024
"""Models behind wildcards whose facts are kept; the least recently asked for is read again when met."""
MAX_DEPLOYMENTS = 65_536
"""Facts kept of those that were met lately, and as many of those before; beyond it the oldest are forgotten
and read again when met."""
FORGET_S = 3600.0
"""What no request could go to for so long is forgotten, within as long again: deployments that are deleted,
and made anew under other ids, must not be kept with their credentials for ever."""

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
_Held = tuple[object, object, Deployment, str | None]
"""`model_info` and `litellm_params` of LiteLLM's entry, what was read of them, and where its metrics are."""
_log = logging.getLogger("rb_litellm")


class Catalog:
    """Facts by deployment id, bounded by MAX_DEPLOYMENTS and FORGET_S. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self._known: dict[str, _Held] = {}
        self._before: dict[str, _Held] = {}
        """Those of them that were not met since the last turn."""
        self._turned_s: float | None = None
        self._behind: OrderedDict[tuple[str, object], _Held] = OrderedDict()
        """By id and model, of deployments that serve whatever model is asked for by name."""
        self._warned: set[str] = set()
        self._default_parallel: int | None = None
        self.any_levels = False
        """Whether a deployment was ever met that has levels of effort."""

    def default_parallel(self, most: object) -> None:
        """How many requests at once a Router lets a deployment have that states nothing itself."""
        found = _int(most)
        if found != self._default_parallel:
            self._default_parallel = found
            self._known.clear()
            self._before.clear()
            self._behind.clear()

    def age(self, now: float) -> bool:
        """Forget what was not met in FORGET_S, and whether that was done; cheap, and called now and then."""
        if self._turned_s is None:
            self._turned_s = now
        elif now - self._turned_s >= FORGET_S:
            self._known, self._before, self._turned_s = {}, self._known, now
            for key in [key for key in self._behind if key[0] not in self._before]:
                del self._behind[key]
            return True
        return False

    def met(self) -> set[str]:
        """Ids of the deployments that are not forgotten."""
        return {*self._known, *self._before}

    def facts(self, deployments: Sequence[Mapping[str, Any]]) -> list[Deployment]:
        """Facts of the given LiteLLM entries, in their order. Never raises for an entry with an id."""
        found, known = [], self._known
        for entry in deployments:
            info = entry["model_info"]
            held = known.get(info["id"])
            if held is None or held[0] is not info or held[1] is not entry["litellm_params"]:
                (held,) = self._held((entry,))
            found.append(held[2])
        return found

    def group_of(self, deployment: str) -> str | None:
        """Model group of a deployment that was met, by its id."""
        held = self._known.get(deployment) or self._before.get(deployment)
        return None if held is None else held[2].group

    def name_of(self, deployment: str) -> str:
        """What people call a deployment that was met, by its id; else the id."""
        held = self._known.get(deployment) or self._before.get(deployment)
        return deployment if held is None else held[2].name

    def metrics_urls(self, deployments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Where the self-hosted ones among them have their metrics, by deployment id."""
        return {held[2].id: held[3] for held in self._held(deployments) if held[3] is not None}

    def check(self, deployments: Sequence[Mapping[str, Any]]) -> None:
        """Read all entries strictly, as at start.

        Raises:
            SettingsError: a deployment's `model_info.routebalance` is wrong; names deployment and setting.
        """
        for entry in deployments:
            info, group = entry.get("model_info") or {}, entry.get("model_name")
            parse_deployment(info.get("routebalance"), f"model_info.routebalance of {group}")

    def _held(self, deployments: Sequence[Mapping[str, Any]]) -> list[_Held]:
        known = self._known
        result = []
        for entry in deployments:
            info = entry["model_info"]
            held = known.get(info["id"])
            if held is None and (held := self._before.pop(info["id"], None)) is not None:
                known[info["id"]] = held
            # LiteLLM replaces these dicts when a deployment is edited. Else it hands out the same ones, or,
            # from a core in Rust, equal ones; then the facts stay the same object, which batches go by.
            params = entry["litellm_params"]
            if held is None or not _same(held[0], info) or not _same(held[1], params):
                held = self._read_behind(entry) if _is_wildcard(entry) else self._read(entry)
            elif held[1] is not params:
                # Dicts of a Router lead back to it: one that was discarded would be kept by them.
                held = known[info["id"]] = (info, params, held[2], held[3])
            result.append(held)
        return result

    def _read_behind(self, entry: Mapping[str, Any]) -> _Held:
        """The same object for the same model: requests for several models may take turns."""
        info, params = entry["model_info"], entry["litellm_params"]
        model = params.get("model")
        if len(str(model)) > MAX_NAME:
            # The parameters have the name in full: what nobody asks for in earnest is read each time.
            return self._read(entry)
        key = info["id"], model
        held = self._behind.get(key)
        if held is None or not _same(held[0], info) or not _same(held[1], params):
            held = self._behind[key] = self._read(entry)
            if len(self._behind) > MAX_BEHIND:
                self._behind.popitem(last=False)
        self._behind.move_to_end(key)
        self._known[info["id"]] = held
        return held

    def _read(self, entry: Mapping[str, Any]) -> _Held:
        info, params = entry["model_info"], entry["litellm_params"]
        held = self._known.get(info["id"])
        facts = read_deployment(entry, self._warn_once, self._default_parallel)
        self.any_levels = self.any_levels or bool(facts.levels)
        if len(self._known) >= MAX_DEPLOYMENTS and held is None:
            self._known.pop(next(iter(self._known)))
        self._known[info["id"]] = (
            info,
            params,
            facts,
            _metrics_url(facts.model, info, with_credential(params)),
        )
        return self._known[info["id"]]

    def _warn_once(self, subject: str, message: str) -> None:
        if subject not in self._warned and len(self._warned) < MAX_DEPLOYMENTS:
            self._warned.add(subject)
            _log.warning("%s", message)


def _is_wildcard(entry: Mapping[str, Any]) -> bool:
    """Whether it serves whatever model is asked for by name (`openai/*`)."""
    return "*" in str(entry.get("model_name"))


def _same(one: object, other: object) -> bool:
    return one is other or one == other


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
            f"price:{group}" if _is_wildcard(entry) else f"price:{group}:{model}",
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
        context_window=_int(info.get("max_input_tokens") or mapped.get("max_input_tokens")),
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


def _metrics_url(model: str, info: Mapping[str, Any], params: Mapping[str, Any]) -> str | None:
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


def _int(value: object) -> int | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return int(value)
