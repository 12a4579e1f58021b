"""Router settings in LiteLLM's database, as its Admin UI shows, stores and applies them.

The proxy's own private names, which have been the same for all hosts so far.
"""

from __future__ import annotations

import functools
from typing import Any

from rb_litellm.litellm_adapter.hosts.host import current
from rb_litellm.litellm_adapter.hosts.settings import page as settings_page
from rb_litellm.litellm_adapter.hosts.settings.check import wrong_settings

_WRITABLE = "RUNTIME_UPDATABLE_ROUTER_SETTINGS"
_MAY_WRITE = "reject_config_owned_writes"
_APPLY_STORED = "_add_router_settings_from_db_config"
_MARK = "__routebalance__"


async def stored_settings(server: Any) -> object:
    """The router settings in LiteLLM's database; None without a database."""
    client = getattr(server, "prisma_client", None)
    if client is None:
        return None
    row = await client.db.litellm_config.find_first(where={"param_name": "router_settings"})
    return getattr(row, "param_value", None)


def offer_stored_settings(server: Any, router: Any) -> None:
    """Have the Admin UI's Router Settings label the arguments of our strategies, and save them."""
    from litellm.types.management_endpoints import ROUTER_SETTINGS_FIELDS
    from litellm.types.management_endpoints.router_settings_endpoints import RouterSettingsField

    fields = settings_page.fields(router.get_settings())
    settings_page.label(fields, ROUTER_SETTINGS_FIELDS, RouterSettingsField)
    if (writable := getattr(server, _WRITABLE, None)) is not None:
        others = frozenset(name for name in writable if not settings_page.is_field(name))
        setattr(server, _WRITABLE, others | fields.keys())


def guard_stored_settings(server: Any, router: Any) -> None:
    """Have `POST /config/update` refuse wrong settings of ours by 400, before they are stored. Idempotent.

    LiteLLM asks its proxy configuration there whether the settings may be written at all, with the very
    mapping that it then stores.
    """
    config = getattr(server, "proxy_config", None)
    may_write = getattr(config, _MAY_WRITE, None)
    if may_write is None or hasattr(may_write, _MARK):
        return
    from fastapi import HTTPException

    @functools.wraps(may_write)
    def checked(section_name: str, changed_keys: Any) -> Any:
        if section_name == "router_settings" and isinstance(changed_keys, dict):
            in_force = getattr(server, "llm_router", None) or router
            strategy = current().strategy_of(in_force)
            found = settings_page.take_in(changed_keys, in_force.get_settings())
            found += [m for messages in wrong_settings(changed_keys, strategy).values() for m in messages]
            if found:
                raise HTTPException(status_code=400, detail={"error": "\n".join(found)})
        return may_write(section_name=section_name, changed_keys=changed_keys)

    setattr(checked, _MARK, True)
    setattr(config, _MAY_WRITE, checked)


async def apply_stored_settings(server: Any, router: Any) -> None:
    """Have LiteLLM take over the router settings of its database now, as it does at long intervals."""
    apply = getattr(getattr(server, "proxy_config", None), _APPLY_STORED, None)
    if apply is not None:
        await apply(llm_router=router, prisma_client=server.prisma_client)
