"""What every test needs: LiteLLM's bundled cost map, before LiteLLM is imported; no judging of speed."""

import os
from collections.abc import Generator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A second try that is skipped has not passed: the first one failed."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and getattr(item, "execution_count", 1) > 1:
        report.outcome, report.longrepr = "failed", f"failed, and was then skipped: {report.longrepr}"
    return report
