"""The LiteLLM proxy of this process, where there is one."""

from __future__ import annotations

import sys
from typing import Any


def proxy_server() -> Any:
    """LiteLLM's module `proxy_server`; None in the SDK.

    It is not imported here: whoever serves the proxy has it already, and nobody else wants its side effects.
    """
    return sys.modules.get("litellm.proxy.proxy_server")


def current_router() -> Any:
    """The Router of the proxy in this process; None without one."""
    return getattr(proxy_server(), "llm_router", None)
