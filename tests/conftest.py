"""What every test needs before LiteLLM is imported: its bundled cost map, without a download."""

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
