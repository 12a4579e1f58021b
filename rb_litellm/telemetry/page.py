"""The status page as one document: markup, style and script of `page_files`, put together at first use.

It loads nothing else. Its Content-Security-Policy allows exactly this style and this script, by their
digests, and requests to the proxy itself.
"""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

_FOLDER = files("rb_litellm.telemetry") / "page_files"
_SCRIPTS = tuple(
    f"{part}.js" for part in ("elements", "stream", "cluster", "decisions", "drawer", "weights", "page")
)


@lru_cache(maxsize=1)
def page() -> str:
    """The whole document."""
    html = _read("index.html")
    return html.replace("/*STYLE*/", _read("page.css")).replace("/*SCRIPT*/", _script())


@lru_cache(maxsize=1)
def security_headers() -> dict[str, str]:
    """Response headers that allow only the page's own style and script to run in it."""
    policy = {
        "default-src": "'none'",
        "style-src": _digest(_read("page.css")),
        "script-src": _digest(_script()),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _script() -> str:
    """The parts in their order, in a scope of their own."""
    return "(() => {\n" + "".join(map(_read, _SCRIPTS)) + "})();\n"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _digest(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
