"""The documentation is complete: what needs no build of it. `make docs` checks the rest."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "gallery_pages", "generated"} & set(p.parts))
# Sphinx-gallery writes these pages.
WRITTEN = {"gallery_pages/index"}


@pytest.fixture
def public_names(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    import public_names

    yield public_names
    sys.modules.pop("public_names")


def listed_in_reference():
    """The names in the tables and entries of the pages of the reference."""
    found = []
    for page in sorted((DOCS / "reference").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        module = None
        for line in text.splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            entry = re.fullmatch(r"(?:   |\.\. py:data:: )([\w.]+)", line)
            whole = re.match(r"\.\. py:function:: ([\w.]+)\(", line)
            if whole:
                found.append(whole[1])
            elif entry and module:
                found.append(f"{module}.{entry[1]}")
    return found


def test_the_reference_lists_every_public_name(public_names):
    assert public_names.all_names() - set(listed_in_reference()) == set()


def test_the_reference_lists_only_what_is_public(public_names):
    assert [name for name in listed_in_reference() if public_names.find(name) is None] == []


def entries_of_toctrees(page):
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        if ":glob:" in lines:
            for pattern in (line for line in lines if not line.startswith(":")):
                yield from (p for p in sorted(page.parent.glob(f"{pattern}.md")) if p != page)
            continue
        for line in (line for line in lines if not line.startswith(":")):
            named = re.search(r"<(.+)>$", line)
            yield page.parent / f"{named[1] if named else line}.md"


def test_every_page_is_in_a_table_of_contents():
    reached, new = set(), {DOCS / "index.md"}
    while new:
        page = new.pop()
        if page.relative_to(DOCS).with_suffix("").as_posix() in WRITTEN:
            continue
        assert page.exists(), f"a table of contents names {page}, which is not there"
        reached.add(page)
        new |= {p.resolve() for p in entries_of_toctrees(page)} - reached
    assert [str(p) for p in PAGES if p not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_a_page_has_one_title(page):
    text = page.read_text(encoding="utf-8")
    included = re.fullmatch(r"```\{include\} (\S+)\n```\n", text)
    if included:
        text = (page.parent / included[1]).read_text(encoding="utf-8")
    text = re.sub(r"^(```+|~~~+).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# \S", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", [p for p in PAGES if "{code-cell}" in p.read_text(encoding="utf-8")], ids=str)
def test_a_page_with_code_is_a_notebook(page):
    assert re.match(r"---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n", page.read_text(encoding="utf-8"))
