"""LiteLLM's own check of a request, for our endpoints: by a key, or by the Admin UI's session in a browser.

LiteLLM admits proxy admins alone to paths that it does not know, unless a path is checked like one that it
does know; but it leaves that look at a role out for whom a `custom_auth` of the operator admits. So every
endpoint that is not for all looks at the role itself (`for_admins`), as LiteLLM's own do.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rb_litellm.litellm_adapter.request.rights.caller import is_admin
from rb_litellm.litellm_adapter.shared.proxy_server import proxy_server

if TYPE_CHECKING:
    from fastapi import Request

_COOKIE = "token"
"""LiteLLM's Admin UI keeps its session here: a JWT signed with the master key, the caller's key in it."""
MAX_OWN_BODY = 4_096
"""Bytes of a body sent to an endpoint of ours, where it is not that of a request."""
_LOGINS = ("sso", "username_password")


def for_admins() -> Any:
    """LiteLLM's own check, and the caller's role: admins of the proxy, and to read its viewers, too.

    As a FastAPI dependency: `dependencies=[Depends(for_admins())]`. Others get 403.
    """
    check = authenticated()

    @functools.wraps(check)
    async def ask(**given: Any) -> Any:
        caller = await check(**given)
        if not is_admin(caller, given["request"].method):
            from fastapi import HTTPException

            raise HTTPException(403, {"error": "only admins of this proxy may ask for this"})
        return caller

    return ask


def authenticated(like: str | None = None) -> Any:
    """LiteLLM's own check of a request as a FastAPI dependency; its result is LiteLLM's `UserAPIKeyAuth`.

    A browser that is signed in to the Admin UI needs no header to read: the key in its session is checked
    as if it had been sent. What changes something asks for a header, which no other site can have sent.

    With `like`, whoever may send this very body to that path of LiteLLM's is admitted, and nobody else.
    """
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

    # The same parameters, so that FastAPI reads every header that LiteLLM takes a key from.
    @functools.wraps(user_api_key_auth)
    async def check(**given: Any) -> Any:
        request = given["request"]
        headers = [value for name, value in given.items() if name != "request"]
        if not any(headers) and request.method == "GET" and (key := session_key(request)) is not None:
            given["api_key"] = f"Bearer {key}"
        if request.method == "POST":
            await _check_body(request, None if like else MAX_OWN_BODY)
        if like is not None:
            given["request"] = await _sent_to(like, request)
        return await user_api_key_auth(**given)

    return check


async def _check_body(request: Request, most: int | None) -> None:
    """Refuse a body that is no object: LiteLLM's check reads fields of it, whatever it is."""
    from fastapi import HTTPException

    if most is not None and len(await request.body()) > most:
        raise HTTPException(413, {"error": f"the body may have {most} bytes at most"})
    try:
        # Parsed once for all who ask this request for it.
        found = await request.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, {"error": "the body must be a JSON object"})


async def _sent_to(path: str, request: Request) -> Request:
    """The same request with another path. What LiteLLM leaves on its state stays with the true one."""
    from fastapi import Request

    body = await request.body()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    request.scope.setdefault("state", {})
    return Request({**request.scope, "path": path, "root_path": "", "app_root_path": ""}, receive)


def admission() -> Any:
    """`for_admins` as a dependency that says whether the request is admitted, and refuses nothing."""
    check = for_admins()

    @functools.wraps(check)
    async def ask(**given: Any) -> bool:
        try:
            await check(**given)
        except Exception:  # noqa: BLE001  whatever the check says but yes is a no
            return False
        return True

    return ask


def session_key(request: Request) -> str | None:
    """The key in a session cookie of the Admin UI, None unless it is signed, unexpired and from a login."""
    cookie = request.cookies.get(_COOKIE)
    master_key = getattr(proxy_server(), "master_key", None)
    if not cookie or not isinstance(master_key, str) or not master_key:
        return None
    import jwt

    try:
        claims = jwt.decode(cookie, master_key, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return None
    # LiteLLM signs other tokens with the same key; only those of a login stand for a person.
    key = claims.get("key") if claims.get("login_method") in _LOGINS else None
    return key if isinstance(key, str) and key else None
