"""Which Routers use our strategy: when the last one is given up, our callback leaves LiteLLM's lists.

A proxy builds a Router for one request where a client sends `user_config`, and gives it up afterwards.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary


class Users:
    """Routers by identity. A Router that is collected without a word has left as well."""

    def __init__(self) -> None:
        self._routers: WeakValueDictionary[int, object] = WeakValueDictionary()
        self._had_any = False
        self.named = False
        """The operator's configuration names our callback: it is not ours to take out."""

    def add(self, router: Any) -> None:
        """A selector of ours is built for this Router, or for a view of it that has it as `itself`."""
        router = _itself(router)
        self._routers[id(router)] = router
        self._had_any = True

    def left(self, router: Any) -> None:
        """The Router is given up; one that is not known changes nothing."""
        self._routers.pop(id(_itself(router)), None)

    def deployments(self) -> set[str]:
        """Ids of all that these Routers have."""
        lists = [getattr(router, "model_list", None) or () for router in list(self._routers.values())]
        return {str(entry["model_info"]["id"]) for entries in lists for entry in entries}

    @property
    def gone(self) -> bool:
        """Whether there were some, none is left, and nobody else has asked for the callback."""
        return self._had_any and not self.named and not self._routers


def _itself(router: Any) -> Any:
    return router.itself if isinstance(getattr(type(router), "itself", None), property) else router


def take_out(callback: object) -> None:
    """Remove a callback from all of LiteLLM's lists, those that it was copied to with them."""
    import litellm

    litellm.logging_callback_manager.remove_callback_from_all_lists(callback)
    # Older releases leave this one out.
    if callback in litellm.input_callback:
        litellm.input_callback.remove(callback)
