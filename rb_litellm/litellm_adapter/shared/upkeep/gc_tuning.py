"""Keeps Python's garbage collector from walking through all of LiteLLM, and from starting at every turn.

A full collection looks at every object there is. A LiteLLM proxy has more than a million before its first
request, so each takes most of a second, every few thousand requests, in which its event loop stands still:
no token of any stream is passed on, and whoever measures latency measures that. What a worker holds when it
begins to serve it holds until it ends, so from then on those objects are left out (`gc.freeze`), and full
collections take milliseconds.

Python starts a young collection at every 700 objects that have become more, which is several times per
request. They nearly all die with their request, without any help of a collector; so it is started
at every `YOUNG` instead. An operator who sets LiteLLM's own `PYTHON_GC_THRESHOLD` has decided that already.
"""

from __future__ import annotations

import gc
import os
import sys

YOUNG = 10_000
"""Objects that may have become more before a young collection. Older ones still come at every so many younger
ones, so with Python's 10 and 10 no more than a hundred times as many wait for a full one."""


class GcTuning:
    """One per process."""

    def __init__(self) -> None:
        self.settled = False
        """Whether what was there at the start has been set aside."""

    def settle(self) -> None:
        """Set aside what is there, once, in a LiteLLM proxy; nobody else's process is ours to tune."""
        if not self.settled and "litellm.proxy.proxy_server" in sys.modules:
            self.settled = True
            set_aside()


def set_aside() -> None:
    """Leave all objects that there are out of collections, and start these less often."""
    gc.freeze()
    young, *older = gc.get_threshold()
    # 0 is a collector that is switched off.
    if 0 < young < YOUNG and not os.environ.get("PYTHON_GC_THRESHOLD"):
        gc.set_threshold(YOUNG, *older)
