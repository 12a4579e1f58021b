"""Settings of LiteLLM that narrow, override or outrank the joint decision, and who may reach what."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rb_litellm.core.fleet import Deployment
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.doctor.finding import Finding, ok, warn

_PINS = ("prompt_caching", "deployment_affinity", "session_affinity", "encrypted_content_affinity")
_PROCESS_WIDE = ("redis", "lease", "seed", "scrape", "baseline")
_SPREAD = 3.0
"""Members whose prices differ by more are worth a word on who may reach them."""


def check(config: Configuration) -> Iterator[Finding]:
    """Findings on policies that interact and on access."""
    findings = [
        *_pins(config),
        *_preferences(config),
        *_cooldowns(config),
        *_outranked(config),
        *_shared(config),
    ]
    yield from findings or [ok("policies", "nothing in the settings narrows or overrides the joint decision")]
    yield from _access(config)


def _pins(config: Configuration) -> Iterator[Finding]:
    asked = config.router.get("optional_pre_call_checks") or []
    pins = [name for name in asked if name in _PINS] if isinstance(asked, list) else []
    if pins:
        yield warn(
            "policies",
            f"optional_pre_call_checks pins calls to a deployment ({', '.join(pins)}): "
            "where a pin holds there is one candidate and nothing to decide",
            "keep it where prompt caches matter more than load; else take it out",
        )


def _preferences(config: Configuration) -> Iterator[Finding]:
    routed = {d.id for d in config.routed()}
    params = [
        entry.get("litellm_params") or {}
        for number, entry in enumerate(config.entries)
        if f"model_list.{number}" in routed
    ]
    if len({repr(p["order"]) for p in params if p.get("order") is not None}) > 1:
        yield warn(
            "policies",
            "deployments have an `order`: LiteLLM hands over only those of the lowest order that are healthy",
            "leave `order` out where quality, latency and cost shall decide",
        )
    if any(p.get("weight") is not None for p in params):
        yield ok(
            "policies",
            "deployments have a `weight`: their shares among those of one model group that are alike in "
            "quality and price",
        )
    limited = any(p.get(name) is not None for p in params for name in ("rpm", "tpm"))
    checks = config.router.get("optional_pre_call_checks") or []
    if limited and "enforce_model_rate_limits" not in checks:
        yield warn(
            "policies",
            "deployments have `rpm` or `tpm`, which are limits only with a check that enforces them",
            "add enforce_model_rate_limits to router_settings.optional_pre_call_checks",
        )


def _cooldowns(config: Configuration) -> Iterator[Finding]:
    if config.router.get("disable_cooldowns") is True or config.router.get("cooldown_time") == 0:
        yield warn(
            "policies",
            "cooldowns are off: a deployment that fails fast has no queue and goes on attracting requests",
            "leave disable_cooldowns and cooldown_time at their defaults",
        )


def _outranked(config: Configuration) -> Iterator[Finding]:
    if config.in_database:
        yield warn(
            "policies",
            "store_model_in_db: router settings saved in the Admin UI outrank this file",
            "look at Settings > Router Settings in the Admin UI, or run the doctor with --url",
        )
    aliases = config.router.get("model_group_alias") or {}
    groups = config.router.get("routing_groups") or []
    names = (
        {str(g.get("group_name")) for g in groups if isinstance(g, dict)}
        if isinstance(groups, list)
        else set()
    )
    for name in sorted(names & ({d.group for d in config.deployments} | set(map(str, aliases)))):
        yield warn(
            "policies",
            f"the routing group {name} has the name of a model or alias: requests for it go to that model",
            "give the routing group a name of its own",
        )


def _shared(config: Configuration) -> Iterator[Finding]:
    for name in _PROCESS_WIDE:
        stated = {
            repr(getattr(s.settings, name)) for s in config.strategies if name in s.settings.model_fields_set
        }
        if len(stated) > 1:
            yield warn(
                "policies",
                f"`{name}` differs between routing groups, but is one for the process: the last one holds",
                f"state `{name}` once, or everywhere alike",
            )


def _access(config: Configuration) -> Iterator[Finding]:
    for strategy in config.strategies:
        name = strategy.where.removeprefix("router_settings.")
        if not strategy.models or strategy.settings.member_access == "key":
            yield ok("access", f"{name}: every caller reaches only models that it may call")
            continue
        prices = {d.group: _price(d) for d in config.members(strategy) if not math.isnan(_price(d))}
        if not prices or min(prices.values()) * _SPREAD >= max(prices.values()):
            yield ok("access", f"{name}: a key that may call the group may be sent to any member")
            continue
        dearest = max(prices, key=lambda name: prices[name])
        yield warn(
            "access",
            f"{name}: a key that may call the group may be sent to any member, {dearest} included, "
            "whatever else the key is limited to",
            "set member_access: key if some keys are limited to some of the members",
        )


def _price(deployment: Deployment) -> float:
    return deployment.input_usd_per_token + deployment.output_usd_per_token
