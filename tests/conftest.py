"""What every test needs: LiteLLM's bundled cost map, before LiteLLM is imported; no judging of speed."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# Speed is for benchmarks to judge: a busy machine must not fail a property.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
