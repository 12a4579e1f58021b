"""What every test needs: LiteLLM's bundled cost map, before LiteLLM is imported; no judging of speed."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# Speed is for benchmarks to judge: a busy machine must not fail a property.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_configure(config: pytest.Config) -> None:
    """With pytest-xdist, hand out files in the order below, and not those with most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give what starts real processes a second try, which the summary names: machines starve them.

    In one of several processes these files come first: they last longest, and none is to be left for the end.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.flaky(reruns=1))
