"""The messages that the documentation explains are messages that the code writes."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.docs.pages import ROOT, outside_blocks

PAGE = ROOT / "docs" / "troubleshooting.md"
_PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")
_SECTIONS = ("The proxy does not start", "Answers to a request", "Log lines", "Commands")


@cache
def written() -> str:
    """All text of the package; what a message holds of values is an `@`."""
    parts = []
    for file in (ROOT / "rb_litellm").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                values = (str(v.value) if isinstance(v, ast.Constant) else "@" for v in node.values)
                parts.append("".join(values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts.append(re.sub(r"%(\.\d+)?[sdfgr]", "@", node.value))
    return "\n".join(parts)


def messages() -> list[str]:
    """Inline code of the first column of the tables that explain messages."""
    found, section = [], ""
    for _, line in outside_blocks(PAGE):
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and section in _SECTIONS:
            found += re.findall(r"`([^`]{12,})`", line.split(" | ")[0])
    return found


def test_every_message_that_is_explained_is_written_somewhere() -> None:
    shown = messages()
    assert len(shown) > 40
    unknown = [
        message
        for message in shown
        if not all(part.strip() in written() for part in _PLACEHOLDER.split(message))
    ]
    assert unknown == []


def test_every_alert_is_explained() -> None:
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "config" / "prometheus" / "alerts.yml").read_text())
    assert [alert for alert in alerts if f"`{alert}`" not in PAGE.read_text()] == []
