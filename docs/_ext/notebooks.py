"""Every page with code can be had as a notebook: at its top stands a link to it.

What only the site understands (directives, roles, links between pages) becomes plain Markdown in the notebook,
and a module beside the page that it imports is written by the first cell.
"""

import re
from pathlib import Path
from typing import Any

import jupytext
from nbformat.v4 import new_code_cell

_FOLDER = "_notebooks"
# What a notebook must say of its kernel, and a page need not.
_KERNEL = r"\1name: python3\n\1display_name: Python 3\n\1language: python"
_HEADER = re.compile(r"\A---\n.*?^file_format: *mystnb$.*?^---$", re.MULTILINE | re.DOTALL)
_IMPORT = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
_OPEN = re.compile(r"^(\s*)(`{3,}|:{3,})\{([\w:-]+)\} *(.*)$")
_OPTION = re.compile(r"^\s*:[\w-]+:(?: .*)?$")
_ROLE = re.compile(r"\{([\w:-]+)\}`([^`]+)`")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:)[^)]*\)")
_ADMONITIONS = {
    "admonition",
    "attention",
    "caution",
    "danger",
    "error",
    "hint",
    "important",
    "note",
    "seealso",
    "tip",
    "warning",
}
_DROPPED = {"autosummary", "button-ref", "eval-rst", "grid", "toctree", "image"}


def _role(found: re.Match) -> str:
    name, text = found[1], found[2]
    shown = re.fullmatch(r"(.+?) <[^>]+>", text)
    if name == "math":
        return f"${text}$"
    if name in ("doc", "ref", "numref", "download", "term"):
        return shown[1] if shown else text.rsplit("/", 1)[-1].removesuffix(".md").replace("_", " ")
    return f"`{shown[1] if shown else text.rsplit('.', 1)[-1] if text.startswith('~') else text}`"


def _inline(line: str) -> str:
    line = _ROLE.sub(_role, line)
    return _LINK.sub(lambda link: "" if link[1] else link[2], line)


def plain(text: str) -> str:
    """MyST Markdown as Markdown that every notebook program shows."""
    lines, result, i = text.split("\n"), [], 0
    while i < len(lines):
        line = lines[i]
        opened = _OPEN.match(line)
        if opened:
            end = i + 1
            closing = re.compile(rf"^\s*{re.escape(opened[2])}\s*$")
            while end < len(lines) and not closing.match(lines[end]):
                end += 1
            result += _directive(opened[3], opened[4], lines[i + 1 : end])
            i = end + 1
        elif line.lstrip().startswith("```"):  # a block of code stays as it is
            end = i + 1
            while end < len(lines) and lines[end].strip() != "```":
                end += 1
            result += lines[i : end + 1]
            i = end + 1
        else:
            if not re.match(r"^(\([\w-]+\)=|%( |$)|\{[.#].*\}$)", line):
                result.append(_inline(line))
            i += 1
    return "\n".join(result)


def _directive(name: str, argument: str, body: list[str]) -> list[str]:
    while body and (_OPTION.match(body[0]) or not body[0].strip()):
        body = body[1:]
    if name in _DROPPED:
        return []
    if name in _ADMONITIONS:
        title = argument if name == "admonition" else name.capitalize()
        rest = "" if name == "admonition" or not argument else f" {argument}"
        inner = plain("\n".join(body)).split("\n")
        return [f"> **{title}.**{rest}", ">", *(f"> {line}".rstrip() for line in inner), ""]
    if name == "math":
        return ["$$", argument, *body, "$$"] if argument else ["$$", *body, "$$"]
    if name in ("code", "code-block"):
        return [f"```{argument}", *body, "```"]
    return plain("\n".join(body)).split("\n")


def _is_notebook(app: Any, page: str) -> bool:
    if page not in app.env.found_docs or page == app.config.root_doc:
        return False
    path = Path(app.env.doc2path(page))
    return path.suffix == ".md" and bool(_HEADER.match(path.read_text(encoding="utf-8")))


def add_link(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if not _is_notebook(app, page):
        return
    target = context["pathto"](f"{_FOLDER}/{page}.ipynb", resource=True)
    link = f'<p class="notebook-link"><a href="{target}" download>Download this page as a notebook</a></p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def write(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for page in sorted(app.env.found_docs):
        if not _is_notebook(app, page):
            continue
        path = Path(app.env.doc2path(page))
        text = path.read_text(encoding="utf-8")
        notebook = jupytext.reads(
            re.sub(r"^( +)name: python3$", _KERNEL, text, count=1, flags=re.MULTILINE), fmt="md:myst"
        )
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = plain(cell.source)
        shared = (path.with_name(f"{name}.py") for name in sorted(set(_IMPORT.findall(text))))
        notebook.cells[:0] = [
            new_code_cell(f"%%writefile {file.name}\n{file.read_text(encoding='utf-8')}")
            for file in shared
            if file.exists()
        ]
        notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
        target = Path(app.outdir) / _FOLDER / f"{page}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        jupytext.write(notebook, target)


def setup(app: Any) -> dict[str, bool]:
    app.connect("html-page-context", add_link)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
