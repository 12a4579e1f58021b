"""How the state of servers is known: shared between workers, read from servers, and let go."""

from __future__ import annotations

from pydantic import Field

from rb_litellm.config.values import Settings


class RedisSettingsArgs(Settings):
    """How workers share their load; empty takes LiteLLM's own Redis settings."""

    enabled: bool = Field(default=True, description="false keeps every worker to its own load.")
    url: str | None = Field(default=None, description="redis://, rediss:// or unix:// URL.")
    namespace: str = Field(
        default="default", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Fleets that share a Redis."
    )
    interval_ms: int = Field(default=200, ge=100, le=5000, description="Time between exchanges.")
    ttl_s: float = Field(default=5.0, ge=1.0, le=60.0, description="A silent worker's load counts this long.")


class ScrapeSettings(Settings):
    """Reading `/metrics` of self-hosted deployments for traffic that does not pass through here."""

    interval_s: float = Field(default=5.0, ge=1.0, le=300.0)


class LeaseSettings(Settings):
    """When an attempt that no event closes stops counting: predicted E2E x factor, within bounds."""

    factor: float = Field(default=4.0, ge=1.0, le=100.0)
    floor_s: float = Field(default=30.0, gt=0.0)
    ceiling_s: float = Field(default=900.0, gt=0.0)
