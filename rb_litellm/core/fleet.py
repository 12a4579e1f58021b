"""A deployment as the decision sees it, whether the LiteLLM adapter or the simulator describes it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rb_litellm.core.latency.forecast import LatencyPrior

_DIGEST = re.compile(r"[0-9a-f]{64}")
"""An id as LiteLLM makes it for a deployment that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """What is known of one deployment. Compared by identity: a changed deployment is a new object."""

    id: str
    group: str
    """Model group (LiteLLM's `model_name`): the name that clients ask for."""
    model: str
    """Model name, provider included."""
    tier: str
    """Deployments of one tier (one model on one kind of hardware) learn latency from each other."""
    prior: LatencyPrior
    input_usd_per_token: float
    """NaN where it is unknown."""
    output_usd_per_token: float
    """NaN where it is unknown."""
    cached_usd_per_token: float = math.nan
    """Of input tokens that are cached; NaN where they cost as much as any other."""
    written_usd_per_token: float = math.nan
    """Of input tokens that are written into the cache; NaN where they cost as much as any other."""
    quality: float | None = None
    """Mean answer quality as configured, for models that the predictor does not know."""
    output_tokens: float | None = None
    """Mean answer length as configured, for models that the predictor does not know."""
    address: str = ""
    """Host of its server, where the configuration says it."""
    context_window: int | None = None
    base_model: str | None = None
    """The model that a deployment of another name serves."""
    like: str | None = None
    """The public model that the operator has it taken for."""
    serves: str = ""
    """A digest of what serves under the id: address and settings that make it another server."""
    server: str = ""
    """Address of the server: deployments with the same one share its load and slots. Empty for one alone."""
    engine: str = ""
    """What of the server serves it: deployments with the same server and engine are equally quick."""
    generates: bool = True
    """False for models that write no tokens, such as embeddings."""
    mocked: bool = False
    """Whether its answers are written in the configuration, so that no server is timed."""
    weight: float | None = None
    """Its share beside others of its model group, as the operator states it; 0 for drained or standby."""
    rpm: float | None = None
    """Requests that it may get in a minute; None for any number."""
    tpm: float | None = None
    """Tokens, input and output, that it may get in a minute."""
    max_parallel: float | None = None
    """Requests that one worker may have open there; more are refused before they are sent."""
    takes_n: bool = False
    """Whether it can be asked for several answers in one call (`n`), and they would differ."""
    effort: str = ""
    """The level of reasoning effort that it is a candidate for; empty for what a deployment does unasked."""
    levels: tuple[Deployment, ...] = ()
    """The same deployment at each level of effort that its operator states; they have the same id."""

    @property
    def priced(self) -> bool:
        """Whether its price is known; else it is taken for the median of the other candidates."""
        return not math.isnan(self.input_usd_per_token + self.output_usd_per_token)

    @property
    def name(self) -> str:
        """What people call it: its id, or model group and host where LiteLLM made the id up."""
        return shown_name(self.id, self.group, self.address or self.model)


def shown_name(id_: str, group: str, place: str) -> str:
    """The id, or `GROUP at PLACE` for one that is a digest."""
    return f"{group} at {place}" if _DIGEST.fullmatch(id_) else id_
