"""`rb-litellm`: LiteLLM's own command line with the strategy registered first.

The registration stands at import, not in `main`, because worker processes that are spawned import
this module again as their `__main__` and nothing else of it.
"""

from __future__ import annotations

import sys

from rb_litellm.litellm_adapter.register import register

register()


def main() -> None:
    """Run `litellm` with the arguments of this command."""
    from litellm.proxy.proxy_cli import run_server

    sys.exit(run_server())


if __name__ == "__main__":
    main()
