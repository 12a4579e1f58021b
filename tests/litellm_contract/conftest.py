"""Every test gets a runtime of its own, and leaves no attempt open when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

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


@pytest.fixture
def accounting(shared: Runtime) -> Accounting:
    """The books behind all selectors that the test builds."""
    return worker_module.worker().accounting


async def settled(runtime: Runtime, patience_s: float = 10.0) -> None:
    """Wait until LiteLLM's logging has told of everything that it will tell of."""
    deadline = time.monotonic() + patience_s
    while len(runtime.ledger) and time.monotonic() < deadline:  # noqa: ASYNC110  LiteLLM sets no event
        await asyncio.sleep(0.01)
