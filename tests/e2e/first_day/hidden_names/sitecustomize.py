"""Hides from RouteBalance the private names of LiteLLM that its hosts use, as a release to come might.

On the path of a proxy's processes, Python runs this at their start. LiteLLM itself goes on finding the names:
a module's functions look among the builtins for what the module does not have.
"""

import builtins
import importlib
import sys
from importlib.abc import MetaPathFinder

BEFORE = "rb_litellm.litellm_adapter.hosts.choose"
"""The names go right before this is imported, in which the host is chosen."""
HIDDEN = {
    "litellm.router_rust.steps.selection": ("build_selector",),
    "litellm.router_rust.core": ("pick_async", "pick_sync"),
}


class Hiding(MetaPathFinder):
    """Finds nothing; it only sees what is imported."""

    def find_spec(self, name, path, target=None):
        if name == BEFORE:
            sys.meta_path.remove(self)
            hide()
        return None


def hide():
    importlib.import_module("litellm.router")
    for module_name, names in HIDDEN.items():
        module = importlib.import_module(module_name)
        for name in names:
            setattr(builtins, name, getattr(module, name))
            delattr(module, name)


sys.meta_path.insert(0, Hiding())
