"""Gauges: the load of one worker per deployment, as it publishes it to the other workers.

A worker publishes its own sums and nothing else, and readers add up, as in a counter whose replicas each own
one entry (state-based CRDTs, https://inria.hal.science/inria-00555588). On the wire a gauge is a compact JSON
document with the busy deployments only. Ids longer than MAX_NAME are shortened.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from rb_litellm.core.targets.book import MAX_TOLD, Told
from rb_litellm.core.targets.stated import NAMES
from rb_litellm.core.types import FloatArray, InstanceState, Losses, Seen
from rb_litellm.state.index import DeploymentIndex

WIRE_VERSION = 1
MAX_NAME = 24
"""Characters of a deployment id on the wire. LiteLLM's own ids are 64 hex digits."""
MAX_DEPLOYMENTS = 4_096
"""Busy deployments in one gauge, those with the most in flight; about 130 KB at the bound."""
PREFIX_BYTES = 8
MAX_PREFIXES = 64
"""Prefix names in one gauge, about 700 bytes; none where affinity is off."""
MAX_PAYLOAD_BYTES = 1 << 20
"""Longer gauges are not read."""


class Load(NamedTuple):
    """One worker's load on one deployment."""

    in_flight: float
    prefill_tokens: float
    decode_tokens: float
    decode_rate: float
    """Tokens per second at which `decode_tokens` falls."""


@dataclass(frozen=True, slots=True)
class StoredGauge:
    """A gauge as it was read from the store."""

    origin: str
    age_s: float
    """Seconds since its worker wrote it, by the store's own clock; NaN where what is stored is no gauge."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gauge:
    """The load that one worker published."""

    origin: str
    age_s: float
    loads: Mapping[str, Load]
    """By deployment name on the wire."""
    up_s: float = 0.0
    """How long that worker has been running."""
    prefixes: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Names of prefixes that it recently sent to a deployment, by the deployment's name on the wire."""
    used: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Requests and tokens of its last minute, of deployments with limits, by their names on the wire."""
    failing: Mapping[str, Seen] = field(default_factory=dict)
    """What it has seen of deployments that fail, by their names on the wire. Times are minus their ages."""
    targets: Mapping[str, Told] = field(default_factory=dict)
    """How far its requests were beyond targets, by the name of the controller; none where nobody sets any."""


class GaugeError(ValueError):
    """A gauge that cannot be read."""


@lru_cache(maxsize=16_384)
def wire_name(deployment: str) -> str:
    """A deployment id as published: the id if it is short, else its beginning and a digest of the whole."""
    if len(deployment) <= MAX_NAME:
        return deployment
    digest = blake2b(deployment.encode(), digest_size=5).hexdigest()
    return f"{deployment[: MAX_NAME - 11]}~{digest}"


def encode(
    index: DeploymentIndex,
    state: InstanceState,
    decode_rates: FloatArray,
    up_s: float,
    prefixes: Mapping[int, Sequence[bytes]] = {},
    used: Mapping[int, tuple[float, float]] = {},
    failing: Mapping[int, Seen] = {},
    targets: Mapping[str, Told] = {},
) -> bytes:
    """This worker's gauge; arrays have one row per row of the index.

    `prefixes` are the names, of PREFIX_BYTES each, of prefixes recently sent to a row;
    `used` are the requests and tokens of the last minute of a row with limits; `failing` is what was seen of
    a row that fails, with times as minus their ages; `targets` is what is told of their controllers.
    """
    busy = state.in_flight.nonzero()[0]
    if busy.size > MAX_DEPLOYMENTS:
        busy = busy[state.in_flight[busy].argsort()[-MAX_DEPLOYMENTS:]]
    ids = index.ids
    columns = (state.in_flight, state.pending_prefill_tokens, state.pending_decode_tokens, decode_rates)
    figures = np.rint(np.stack([column[busy] for column in columns], axis=1)).astype(np.int64).tolist()
    loads = {wire_name(ids[row]): four for row, four in zip(busy.tolist(), figures, strict=True)}
    document: dict[str, Any] = {"v": WIRE_VERSION, "up": round(up_s), "d": loads}
    if prefixes:
        document["p"] = {wire_name(ids[row]): _packed(names) for row, names in prefixes.items()}
    if used:
        told = sorted(used.items(), key=lambda one: -one[1][0])[:MAX_DEPLOYMENTS]
        document["u"] = {wire_name(ids[row]): [round(figure) for figure in two] for row, two in told}
    if failing:
        document["f"] = {
            wire_name(ids[row]): [seen.failures, seen.answers, _age(seen.failed_s), _age(seen.answered_s)]
            for row, seen in list(failing.items())[:MAX_DEPLOYMENTS]
        }
        lost = {
            wire_name(ids[row]): [*(round(figure, 2) for figure in seen.losses[:-1]), _age(seen.losses.at_s)]
            for row, seen in list(failing.items())[:MAX_DEPLOYMENTS]
            if seen.losses.at_s > -math.inf
        }
        if lost:
            document["l"] = lost
    if targets:
        document["t"] = {name: [*told.excess, *told.log_prices] for name, told in targets.items()}
    return json.dumps(document, separators=(",", ":")).encode()


def decode(stored: StoredGauge) -> Gauge:
    """Read another worker's gauge.

    Raises:
        GaugeError: it is not a gauge of this version.
    """
    if not 0.0 <= stored.age_s < 1e9:
        raise GaugeError(f"gauge of {stored.origin[:64]!r} is no text with a time, or is too long")
    if len(stored.payload) > MAX_PAYLOAD_BYTES:
        raise GaugeError(f"gauge of {stored.origin[:64]!r} has {len(stored.payload)} bytes")
    try:
        document: dict[str, Any] = json.loads(stored.payload)
        if document["v"] != WIRE_VERSION:
            version = str(document["v"])[:32]
            raise GaugeError(f"gauge of {stored.origin[:64]!r} has version {version!r}")
        loads = {str(name): _load(*figures) for name, figures in document["d"].items()}
        prefixes = {str(name): _unpacked(packed) for name, packed in document.get("p", {}).items()}
        used = {str(name): _used(*figures) for name, figures in document.get("u", {}).items()}
        failing = {str(name): _seen(*four) for name, four in document.get("f", {}).items()}
        for name, figures in document.get("l", {}).items():
            if name in failing:
                failing[name] = failing[name]._replace(losses=_losses(*figures))
        targets = {str(name): _told(figures) for name, figures in document.get("t", {}).items()}
        if len(targets) > MAX_TOLD:
            raise ValueError(f"{len(targets)} controllers of targets; at most {MAX_TOLD} are told")
        up_s = _amount(document["up"])
        return Gauge(stored.origin, stored.age_s, loads, up_s, prefixes, used, failing, targets)
    except GaugeError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        told = f"{type(error).__name__}: {error}"[:200]
        raise GaugeError(f"gauge of {stored.origin[:64]!r} cannot be read: {told}") from error


def _packed(names: Sequence[bytes]) -> str:
    return b64encode(b"".join(names)).decode()


def _unpacked(packed: str) -> tuple[bytes, ...]:
    names = b64decode(packed, validate=True)
    if len(names) % PREFIX_BYTES or len(names) > MAX_PREFIXES * PREFIX_BYTES:
        raise ValueError(f"{len(names)} bytes are no names of prefixes")
    return tuple(names[at : at + PREFIX_BYTES] for at in range(0, len(names), PREFIX_BYTES))


def _load(in_flight: float, prefill: float, decode: float, rate: float) -> Load:
    load = Load(in_flight + 0.0, prefill + 0.0, decode + 0.0, rate + 0.0)
    if all(0.0 <= figure < 1e15 for figure in load):
        return load
    raise ValueError(f"{load} is no load")


def _used(requests: Any, tokens: Any) -> tuple[float, float]:
    return _amount(requests), _amount(tokens)


def _age(at_s: float) -> float | None:
    return None if at_s == -math.inf else round(-at_s, 2)


def _seen(failures: Any, answers: Any, failed: Any, answered: Any) -> Seen:
    failed_s, answered_s = (-math.inf if age is None else -_amount(age) for age in (failed, answered))
    return Seen(int(_amount(failures)), int(_amount(answers)), failed_s, answered_s)


def _losses(
    refused: Any, timed_out: Any, errors: Any, cut: Any, answers: Any, lost_s: Any, paid: Any, age: Any
) -> Losses:
    amounts = [_amount(figure) for figure in (refused, timed_out, errors, cut, answers, lost_s, paid)]
    return Losses._make([*amounts, -_amount(age)])


def _told(figures: Any) -> Told:
    values = tuple(float(figure) for figure in figures)
    if len(values) != 2 * len(NAMES) or not all(abs(value) < 1e12 for value in values):
        raise ValueError(f"{str(figures)[:100]} says nothing of targets")
    return Told(values[: len(NAMES)], values[len(NAMES) :])


def _amount(value: Any) -> float:
    amount = float(value)
    if not 0.0 <= amount < 1e15:
        raise ValueError(f"{value!r} is no amount")
    return amount
