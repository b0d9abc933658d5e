"""Links from a page to files of the repository work on the site as on GitHub.

A link to a text file or a folder that is no page of the documentation leads to a page with its content; files that are
pages (`PAGES`) are included in one, whose own links are then those of the file.
"""

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Files outside of docs/ that are pages of the site.
PAGES = {
    "README.md": "/index.md",
    "CHANGELOG.md": "/changelog.md",
    "CONTRIBUTING.md": "/contributing.md",
    "benchmarks/README.md": "/benchmarks.md",
}
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
_INCLUDE = re.compile(r"^```\{include\} (\S+)\n```$", re.MULTILINE)
_FOLDER = "_repository"
_SHOWN = {".c", ".cff", ".h", ".ipynb", ".md", ".pxd", ".pxi", ".py", ".pyi", ".pyx", ".toml", ".txt", ".yml", ""}


def _rewritten(text: str, folder: Path, used: set[str]) -> str:
    """`text` of a file in `folder`, whose links to the repository are told apart from those to pages."""

    def rewrite(link: re.Match) -> str:
        target = Path(os.path.normpath(folder / link[2]))
        if link[2].startswith("/") or not target.exists() or not target.is_relative_to(ROOT):
            return link[0]
        name = target.relative_to(ROOT).as_posix()
        fragment = link[3] or ""
        if name in PAGES:
            return f"{link[1]}{PAGES[name]}{'' if name == 'README.md' else fragment}{link[4]}"
        if target.is_relative_to(DOCS) and (target.suffix in (".md", ".png", ".svg", ".rst")):
            return f"{link[1]}/{target.relative_to(DOCS).as_posix()}{fragment}{link[4]}"
        used.add(name)
        return f"{link[1]}repository:{name}{link[4]}"

    return _LINK.sub(rewrite, text)


def read(app: Any, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".md":
        return
    used: set[str] = set()

    def include(found: re.Match) -> str:
        file = Path(os.path.normpath(path.parent / found[1]))
        app.env.note_dependency(str(file))
        return _rewritten(file.read_text(encoding="utf-8"), file.parent, used)

    text = _rewritten(source[0], path.parent, used)
    source[0] = _INCLUDE.sub(include, text)
    _files(app.env)[docname] = used


def _files(env: Any) -> dict[str, set[str]]:
    """The repository's files that each page links."""
    if not hasattr(env, "repository_files"):
        env.repository_files = {}
    return env.repository_files


def purge(app: Any, env: Any, docname: str) -> None:
    _files(env).pop(docname, None)


def merge(app: Any, env: Any, docnames: list[str], other: Any) -> None:
    _files(env).update({name: used for name, used in _files(other).items() if name in docnames})


def resolve(app: Any, doctree: Any, docname: str) -> None:
    for node in doctree.findall():
        target = getattr(node, "attributes", {}).get("refuri", "")
        if target.startswith("repository:"):
            page = f"{_FOLDER}/{target.removeprefix('repository:')}"
            node["refuri"] = app.builder.get_relative_uri(docname, page)


def _content(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in _SHOWN and not p.name.startswith("."))


def pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    names = set().union(*_files(app.env).values())
    for name in sorted(names):
        if (ROOT / name).is_dir():
            names |= {p.relative_to(ROOT).as_posix() for p in _content(ROOT / name)}
    for name in sorted(names):
        path, title = ROOT / name, f"<h1>{html.escape(name)}</h1>"
        if path.is_dir():
            items = "".join(f'<li><a href="{p.name}.html">{p.name}</a></li>' for p in _content(path))
            # The page of a folder stands in its parent.
            items = items.replace('href="', f'href="{path.name}/')
            body = f"{title}<ul>{items}</ul>"
        else:
            text = path.read_text(encoding="utf-8")
            try:
                language = get_lexer_for_filename(path.name).aliases[0]
            except ClassNotFound:
                language = "text"
            body = title + app.builder.highlighter.highlight_block(text, language, force=True)
        yield f"{_FOLDER}/{name}", {"title": name, "body": body, "parents": []}, "page.html"


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", read)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("doctree-resolved", resolve)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
