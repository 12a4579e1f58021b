"""LiteLLM's `custom_auth` for tests without a database: a key says itself what its metadata are.

A key is `sk-` and the base64 of `{"key": {...}, "team": {...}, "models": [...], "record": {...}}`, the last
one being further fields of LiteLLM's record of the key. Copied beside a proxy's configuration, so it stands
alone.
"""

import base64
import json
import os

from fastapi import Request
from litellm.proxy._types import UserAPIKeyAuth


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    """The caller that a key speaks of; the master key is a proxy admin."""
    if api_key == os.environ["LITELLM_MASTER_KEY"]:
        return UserAPIKeyAuth(api_key=api_key, user_role="proxy_admin")
    try:
        told = json.loads(base64.urlsafe_b64decode(api_key.removeprefix("sk-")))
    except ValueError:
        raise Exception("no such key") from None
    return UserAPIKeyAuth(
        api_key=api_key,
        token=api_key,
        metadata=told.get("key", {}),
        team_metadata=told.get("team", {}),
        models=told.get("models", []),
        **{"user_role": "internal_user", **told.get("record", {})},
    )
