"""Every test gets a runtime of its own, and leaves no attempt open and nothing in LiteLLM when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import litellm
import pytest
import pytest_asyncio

import rb_litellm
from rb_litellm.litellm_adapter import worker as worker_module
from rb_litellm.litellm_adapter.lifecycle.accounting import Accounting
from rb_litellm.litellm_adapter.runtime import Runtime

rb_litellm.register()


@pytest_asyncio.fixture(autouse=True)
async def shared(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """The runtime behind all selectors that the test builds."""
    monkeypatch.setattr(worker_module, "_worker", None)
    litellm.logging_callback_manager._reset_all_callbacks()
    made = worker_module.worker().runtime
    yield made
    await settled(made)
    litellm.logging_callback_manager._reset_all_callbacks()
    assert len(made.ledger) == 0, f"still open: {list(made.ledger._open)}"


@pytest.fixture(autouse=True)
def _models_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Router enters its deployments into LiteLLM's maps of models, where later tests would find them."""
    monkeypatch.setattr(litellm, "suppress_debug_info", litellm.suppress_debug_info)
    entries = {name: dict(entry) for name, entry in litellm.model_cost.items()}
    of_providers = [(names, set(names)) for names in vars(litellm).values() if isinstance(names, set)]
    yield
    # LiteLLM looks its maps up anew once a model was registered.
    litellm.register_model({"gpt-4o": entries["gpt-4o"]})
    litellm.model_cost.clear()
    litellm.model_cost.update(entries)
    for names, before in of_providers:
        names.intersection_update(before)
        names.update(before)


@pytest.fixture
def accounting(shared: Runtime) -> Accounting:
    """The books behind all selectors that the test builds."""
    return worker_module.worker().accounting


async def settled(runtime: Runtime, patience_s: float = 10.0) -> None:
    """Wait until LiteLLM's logging has told of everything that it will tell of."""
    deadline = time.monotonic() + patience_s
    while len(runtime.ledger) and time.monotonic() < deadline:  # noqa: ASYNC110  LiteLLM sets no event
        await asyncio.sleep(0.01)
