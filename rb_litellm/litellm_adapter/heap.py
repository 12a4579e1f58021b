"""Keeps Python's full garbage collections from walking through all of LiteLLM.

A full collection looks at every object there is. A LiteLLM proxy has more than a million before its first
request, so each takes most of a second, every few thousand requests, in which its event loop stands still:
no token of any stream is passed on, and whoever measures latency measures that. What a worker holds when it
begins to serve it holds until it ends, so from then on those objects are left out (`gc.freeze`), and full
collections take milliseconds. Nothing else of the collector's settings is changed.
"""

from __future__ import annotations

import gc
import sys


class Heap:
    """One per process."""

    def __init__(self) -> None:
        self.settled = False
        """Whether what was there at the start has been set aside."""

    def settle(self) -> None:
        """Set aside what is there, once, in a LiteLLM proxy; nobody else's process is ours to tune."""
        if not self.settled and "litellm.proxy.proxy_server" in sys.modules:
            self.settled = True
            gc.freeze()
