"""The documentation is complete: what needs no build of it. `make docs` checks the rest."""

import importlib
import inspect
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
def extension(monkeypatch):
    """Imports one of our extensions of Sphinx."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    before = set(sys.modules)
    yield importlib.import_module
    for name in {"docstrings", "public_names"} - before:
        sys.modules.pop(name, None)


@pytest.fixture
def public_names(extension):
    return extension("public_names")


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


def converted(extension, text, scope="fastnn.nn.Conv2d"):
    return extension("docstrings").converted(inspect.cleandoc(text).split("\n"), scope)


def test_every_public_docstring_becomes_restructured_text(extension, public_names):
    for name in sorted(public_names.all_names()):
        module, _, last = name.rpartition(".")
        described = getattr(importlib.import_module(module), last)
        if callable(described):
            assert extension("docstrings").converted((inspect.getdoc(described) or "").split("\n"), name)


def test_a_formula_keeps_its_lines(extension):
    lines = converted(
        extension,
        """Text.

        y[n] = a * x +
            b
        """,
    )
    at = lines.index(".. code-block:: none")
    assert lines[at + 3 : at + 5] == ["   y[n] = a * x +", "       b"]


def test_characters_that_mean_something_are_escaped(extension):
    assert "a\\*b, \\|x\\|, x\\_" in converted(extension, "Text.\n\nAlso a*b, |x|, x_ here.")[2]


def test_names_between_backquotes_are_links_if_they_are_public(extension):
    line = converted(extension, "See `functional.conv2d` and `whatever`.")[0]
    assert line == "See :py:obj:`functional.conv2d <fastnn.functional.conv2d>` and ``whatever``."


def test_arguments_become_a_list_with_lists_in_it(extension):
    lines = converted(
        extension,
        """Text.

        Args:
            x: images,
                many.
            algorithm: one of these.
                - 'a': the first
        """,
    )
    at = lines.index(":Parameters:")
    assert [line for line in lines[at + 1 :] if line.strip()] == [
        "   - **x**: images, many.",
        "   - **algorithm**: one of these.",
        "     - **'a'**: the first",
    ]


def test_an_example_is_code(extension):
    lines = converted(extension, "Text.\n\nExample:\n    >>> 1 + 1\n    2")
    assert [line for line in lines if line] == [
        "Text.",
        ".. rubric:: Example",
        ".. code-block:: pycon",
        "   >>> 1 + 1",
        "   2",
    ]


def test_a_backquote_without_another_is_an_error(extension):
    with pytest.raises(ValueError, match="backquote"):
        converted(extension, "A lone ` here.")
