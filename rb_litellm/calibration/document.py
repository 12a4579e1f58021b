"""A calibration as it is printed and kept in a file, and read again for the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rb_litellm import bounded_yaml
from rb_litellm.calibration.fit import Calibration
from rb_litellm.config.allowed import what_is_allowed
from rb_litellm.redaction import shown_address


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Ttft(_Document):
    """Time to first token of a prompt that meets nobody."""

    base: float = Field(gt=0)
    per_1k_prompt_tokens: float = Field(ge=0)


class Growth(_Document):
    """Time per output token by the form: alone, and with each further answer that is written at once."""

    alone: float = Field(gt=0)
    per_running: float = Field(ge=0)


class FitError(_Document):
    """Mean of |fitted / measured - 1|."""

    ttft: float = Field(ge=0)
    tpot: float = Field(ge=0)


class Document(_Document):
    """One calibrated server. Times are in ms."""

    url: str
    model: str
    ttft_ms: Ttft
    tpot_ms: dict[int, float] = Field(min_length=1, max_length=64)
    """Measured, by answers written at once."""
    tpot_form_ms: Growth
    ttft_measured_ms: dict[int, float] = Field(default_factory=dict, max_length=64)
    """By prompt tokens."""
    slots: int | None = Field(None, ge=1)
    most_asked: int = Field(ge=1)
    """Requests that were sent at once; where `slots` is null, all of them were served at once."""
    context_window: int | None = Field(None, ge=1)
    kv_tokens: int | None = Field(None, ge=1)
    """Tokens that the KV cache holds, where the server says so."""
    prefix_cache: bool
    fit_error: FitError
    spread: float = Field(0.0, ge=0)
    """How far measurements of the same TTFT lie apart, as a share of their median."""

    def settings(self) -> dict[str, float | int]:
        """`model_info.routebalance` of the deployment, without what one measured point cannot tell."""
        told: dict[str, float | int] = {"ttft_ms": self.ttft_ms.base}
        if self.knows_prefill:
            told["prefill_ms_per_1k_tokens"] = self.ttft_ms.per_1k_prompt_tokens
        told["tpot_ms"] = self.tpot_form_ms.alone
        if self.knows_growth:
            told["tpot_ms_per_running"] = self.tpot_form_ms.per_running
        return told if self.slots is None else {**told, "max_num_seqs": self.slots}

    @property
    def knows_prefill(self) -> bool:
        """Whether prompts of more than one length were measured; an older file does not say."""
        return len(self.ttft_measured_ms) != 1

    @property
    def knows_growth(self) -> bool:
        """Whether more than one size of batch was measured, or the server has but one slot."""
        return len(self.tpot_ms) > 1 or self.slots == 1

    def model_info(self) -> dict[str, Any]:
        """The lines for LiteLLM's configuration."""
        window = {} if self.context_window is None else {"max_input_tokens": self.context_window}
        return {**window, "routebalance": self.settings()}

    def as_yaml(self) -> str:
        """The file."""
        lines = yaml.safe_dump({"model_info": self.model_info()}, sort_keys=False)
        kept = yaml.safe_dump({"calibration": self.model_dump()}, sort_keys=False)
        return (
            f"# Measured by `routebalance calibrate --url {self.url} --model {self.model}`.\n"
            f"# For the deployment in LiteLLM's configuration:\n{lines}"
            f"# For `hardware` of a tier, in a file for `routebalance simulate --cluster`:\n{kept}"
        )


def document(url: str, model: str, found: Calibration) -> Document:
    """What is printed and kept of a calibration; figures have four digits."""
    return Document(
        url=shown_address(url),
        model=model,
        ttft_ms=Ttft(base=_ms(found.ttft.base), per_1k_prompt_tokens=_ms(1000.0 * found.ttft.slope)),
        tpot_ms={batch: _ms(s) for batch, s in found.tpot_s.items()},
        tpot_form_ms=Growth(alone=_ms(found.tpot.base), per_running=_ms(found.tpot.slope)),
        ttft_measured_ms={tokens: _ms(s) for tokens, s in found.ttft_s.items()},
        slots=found.slots,
        most_asked=found.most_asked,
        context_window=found.context_window,
        kv_tokens=found.kv_tokens,
        prefix_cache=found.prefix_cache,
        fit_error=FitError(ttft=round(found.ttft.error, 4), tpot=round(found.tpot.error, 4)),
        spread=round(found.spread, 4),
    )


def read_document(file: Path) -> Document:
    """The calibration in a file.

    Raises:
        ValueError: there is none; names the file and what is wrong.
    """
    try:
        content = bounded_yaml.load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"calibration {file} cannot be read ({error.strerror or error})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"calibration {file} is not YAML ({error})") from None
    except bounded_yaml.BeyondBounds as error:
        raise ValueError(f"calibration {file}: {error}") from None
    if not isinstance(content, dict) or "calibration" not in content:
        raise ValueError(
            f"calibration {file} holds no `calibration`; `routebalance calibrate --out` writes one"
        )
    try:
        return Document.model_validate(content["calibration"])
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {what_is_allowed(e)}" for e in error.errors()[:8])
        raise ValueError(f"calibration {file}: {wrong}") from None


def _ms(seconds: float) -> float:
    return float(f"{seconds * 1000.0:.4g}")
