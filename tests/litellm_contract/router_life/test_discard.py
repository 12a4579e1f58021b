"""A Router that is given up leaves nothing of ours behind, and breaks nothing for the others."""

import litellm

import rb_litellm
from rb_litellm.litellm_adapter.worker import worker
from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import QUALITY_ONLY, ask, deployment, router

LISTS = (
    "callbacks", "input_callback", "success_callback", "failure_callback", "_async_success_callback",
    "_async_failure_callback",
)  # fmt: skip


def left_behind():
    """What of ours is in LiteLLM's lists, and what of its own strategies."""
    found = {id(c): c for name in LISTS for c in getattr(litellm, name) if not isinstance(c, str)}
    return [
        c for c in found.values() if type(c).__module__.startswith(("rb_litellm", "litellm.router_strategy"))
    ]


async def test_our_callback_goes_with_the_last_router(shared):
    first, second = router(deployment("a")), router(deployment("b"))
    assert await ask(first) == "a"
    await settled(shared)
    first.discard()
    assert worker().callbacks in left_behind()
    assert await ask(second) == "b"
    await settled(shared)
    second.discard()
    assert left_behind() == []


async def test_a_router_that_was_never_asked_leaves_nothing():
    router(deployment("a")).discard()
    assert left_behind() == []


async def test_a_new_router_is_watched_again(shared):
    router(deployment("a")).discard()
    assert await ask(router(deployment("b"))) == "b"
    await settled(shared)
    assert worker().callbacks in left_behind()


async def test_the_strategy_behind_shadow_mode_goes_too():
    of = router(
        deployment("a"),
        routing_strategy_args={**QUALITY_ONLY, "mode": "shadow", "base_strategy": "least-busy"},
    )
    of.discard()
    assert left_behind() == []


async def test_what_the_configuration_names_stays(shared):
    named = rb_litellm.proxy
    litellm.logging_callback_manager.add_litellm_callback(named)
    router(deployment("a")).discard()
    assert named in litellm.callbacks
    worker()._users.named = False


async def test_a_router_given_up_in_mid_request_hears_of_its_end(shared):
    of = router(deployment("a"))
    stream = await of.acompletion(model="auto", messages=[{"role": "user", "content": "Hi"}], stream=True)
    of.discard()
    assert worker().callbacks in left_behind()
    async for _ in stream:
        pass
    await settled(shared)
    worker()._leave_unused()
    assert left_behind() == []


async def test_a_router_given_up_and_still_asked_is_counted(shared):
    of = router(deployment("a"))
    of.discard()
    assert await ask(of) == "a"
    await settled(shared)
    assert shared.counters.decisions == 1
