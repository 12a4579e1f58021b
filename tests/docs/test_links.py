"""Every link of the documentation leads somewhere, and every page is in the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, README, ROOT, anchors, links, name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    wrong = []
    for where, target in links(page):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or not file.is_relative_to(ROOT):
            wrong.append(f"{where}: {target}: there is no such file")
        elif anchor and anchor not in anchors(file):
            wrong.append(f"{where}: {target}: there is no such heading")
    assert wrong == []


def test_the_readme_and_the_index_name_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    for page in (README, index):
        reached = {(page.parent / target.partition("#")[0]).resolve() for _, target in links(page)}
        assert [name(one) for one in DOCS if one not in reached | {index}] == []
