"""Deployments that are made anew under other ids again and again, as a platform does, take no more room."""

from litellm.types.router import Deployment

from rb_litellm.litellm_adapter.shared.catalog import FORGET_S
from rb_litellm.litellm_adapter.shared.users import Users
from tests.litellm_contract.routers import ask, deployment, router


async def test_what_is_kept_of_deployments_does_not_grow_as_they_are_deleted_and_added(shared):
    of = router(deployment("stays", 0.9), deployment("0", 0.4))
    users, now = Users(), shared.clock()
    users.add(of)
    shared.catalog.age(now)
    kept = []
    for number in range(1, 12):
        assert await ask(of) == "stays"
        of.delete_deployment(str(number - 1))
        of.upsert_deployment(made(deployment(str(number), 0.95)))
        assert await ask(of) == str(number)
        of.delete_deployment(str(number))
        of.upsert_deployment(made(deployment(str(number), 0.4)))
        now += FORGET_S + 60.0
        assert shared.catalog.age(now)
        with shared.lock:
            shared.forget_gone(users.deployments())
        kept.append((len(shared.index), len(shared.balancer.beliefs)))
    # Of two hours: what is met in one is forgotten after the next.
    assert len(set(kept[3:])) == 1, kept
    assert shared.index.find("stays") == 0
    assert shared.index.find("1") is None


def made(entry):
    return Deployment(**entry)
