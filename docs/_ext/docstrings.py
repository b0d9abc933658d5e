"""Docstrings are plain text with a few habits; here they become reStructuredText.

The habits: sections `Args:`, `Shape:`, `Attributes:`, `Raises:`, `Returns:` and `Example:`, whose content is indented;
`Source:` and what follows it; formulas as lines of their own; code as an indented paragraph; names between backquotes.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import public_names

_TITLES = {"Args": "Parameters", "Shape": "Shape", "Attributes": "Attributes", "Raises": "Raises", "Returns": "Returns"}
_SECTION = re.compile(rf"({'|'.join(_TITLES)}|Example):(?: (.+))?$")
# `x: ...`, `x, weight: ...`, `- Input: ...`, `- dy, y (the result of `relu`): ...`
_ENTRY = re.compile(
    r"(?:- )?((?:\*{0,2}[\w.]+|`[^`]+`|'[\w ]+')(?:,? (?:\*{0,2}[\w.]+|\.\.\.))*(?: \([^()]*\))?): (.*)", re.DOTALL
)
# `y = ...`, `y[n, k] = ...`, `dx, dy = ...`
_FORMULA = re.compile(r"-?[\w'^]+(?:\[[^\]]*\])?(?:, [\w']+(?:\[[^\]]*\])?)* +=")
# Where the words begin that follow a formula in a sentence.
_WORDS = re.compile(r"([,;:] (?=(?:for|with|where|mean|in|over|else|its|if|and|of|the|but) )|(?<! )\.(?:\s|$))")


def escaped(text: str) -> str:
    """`text` with every character as it is."""
    return re.sub(r"([\\*|_`])", r"\\\1", text)


def _inline(text: str, scope: str) -> str:
    """One paragraph: what stands between backquotes becomes code, with a link where it is a public name."""
    pieces = " ".join(text.split()).split("`")
    if len(pieces) % 2 == 0:
        raise ValueError(f"{scope}: a backquote without another: {text}")
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            pieces[i] = escaped(piece)
            continue
        target = public_names.find(piece, scope)
        pieces[i] = f":py:obj:`{piece} <{target}>`" if target else f"``{piece.strip()}``"
        # Inline code must end before a space or a punctuation mark.
        if i + 1 < len(pieces) and re.match(r"\w", pieces[i + 1]):
            pieces[i] += "\\ "
    line = "".join(pieces)
    if line.startswith(":py:obj:"):
        return line
    return f"\\{line}" if re.match(r"([-+*#:]|\.\.|\w+[.)]) ?", line) and not re.match(r"\w{2,}", line) else line


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield paragraph
            paragraph = []


def _block(lines: list[str], language: str) -> list[str]:
    css = ["   :class: formula"] if language == "none" else []
    return [f".. code-block:: {language}", *css, "", *(f"   {line}" for line in lines), ""]


def _language(text: str) -> str:
    if text.lstrip().startswith(">>>"):
        return "pycon"
    try:
        ast.parse(text)
    except SyntaxError:
        return "none"
    return "none" if _FORMULA.match(text) else "python"


def _starts_of_code(lines: list[str]) -> bool:
    return all(line.startswith("    ") for line in lines)


def _body(lines: list[str], scope: str) -> Iterator[str]:
    """The text before and between sections."""
    code: list[str] = []  # indented paragraphs that follow each other are one
    for number, paragraph in enumerate(_paragraphs(lines)):
        if _starts_of_code(paragraph):
            code += [*([""] if code else []), *paragraph]
            continue
        if code:
            yield from _code(code)
            code = []
        first = paragraph[0]
        if first.startswith("- "):
            yield from _entries(paragraph, scope)
        elif first.startswith("Source: "):
            yield f":Source: {_inline(' '.join(paragraph).removeprefix('Source: '), scope)}"
        elif number == 0 and (len(paragraph) == 1 or not _is_formula(paragraph)):
            yield _summary(" ".join(paragraph), scope)
        elif _is_formula(paragraph):
            # A sentence may lead to the formula.
            at = next((i for i, line in enumerate(paragraph) if line.startswith("    ") or _FORMULA.match(line)), 0)
            if at:
                yield _inline(" ".join(paragraph[:at]), scope)
                yield ""
            yield from _block(textwrap.dedent("\n".join(paragraph[at:])).split("\n"), "none")
        elif _FORMULA.match(first):  # a sentence that begins with one
            formula, *rest = _WORDS.split(" ".join(paragraph), maxsplit=1)
            yield from _block([formula], "none")
            yield _inline("".join(rest[1:]), scope)
        else:
            yield _inline(" ".join(paragraph), scope)
        yield ""
    if code:
        yield from _code(code)


def _is_formula(paragraph: list[str]) -> bool:
    """Whether lines are formulas, what continues one indented below it, or columns; not a sentence that begins so."""
    starts = [line for line in paragraph if not line.startswith("    ")]
    if len(starts) < len(paragraph) or any("   " in line for line in paragraph):
        return True
    return all(_FORMULA.match(line) or line.startswith(("with ", "where ")) for line in starts) and bool(
        _FORMULA.match(starts[0])
    )


def _code(lines: list[str]) -> list[str]:
    text = textwrap.dedent("\n".join(lines))
    return _block(text.split("\n"), _language(text))


def _summary(line: str, scope: str) -> str:
    """The first line, which also stands in tables; a formula in it is set as code."""
    pieces = _WORDS.split(line, maxsplit=1)
    formula = pieces[0]
    is_formula = (
        "`" not in formula
        and (_FORMULA.match(formula) or re.match(r"[-(|]|\w+ \(", formula))
        and re.search(r" [-+*/=^] |\^", formula)
    )
    return (
        f"``{formula}``\\ " + _inline("".join(pieces[1:]), scope).lstrip("\\") if is_formula else _inline(line, scope)
    )


def _entries(lines: list[str], scope: str) -> Iterator[str]:
    """Items of a list, each with lines that are indented more than it."""
    items: list[list[str]] = []
    for line in lines:
        if not line.strip():
            continue
        if items and line.startswith(" "):
            items[-1].append(line)
        else:
            items.append([line])
    for item in items:
        nested = [i for i, line in enumerate(item) if line.lstrip().startswith("- ") and i]
        head = " ".join(item[: nested[0]] if nested else item)
        found = _ENTRY.match(head)
        if found:
            yield f"- **{escaped(found[1].replace('`', ''))}**: {_inline(found[2], scope)}"
        else:
            yield f"- {_inline(head.removeprefix('- '), scope)}"
        if nested:
            yield ""
            yield from (
                f"  {line}" for line in _entries(textwrap.dedent("\n".join(item[nested[0] :])).split("\n"), scope)
            )
            yield ""


def _section(title: str, lines: list[str], scope: str) -> Iterator[str]:
    lines = textwrap.dedent("\n".join(lines)).split("\n")
    if title == "Example":
        yield from (".. rubric:: Example", "")
        for paragraph in _examples(lines):
            text = "\n".join(paragraph)
            yield from _block(paragraph, _language(text))
        return
    yield f":{_TITLES[title]}:"
    content = _body(lines, scope) if title == "Returns" else _entries(lines, scope)
    yield from (f"   {line}" if line else "" for line in content)
    yield ""


def _examples(lines: list[str]) -> Iterator[list[str]]:
    text = "\n".join(lines).strip("\n")
    yield text.split("\n")


def converted(lines: list[str], scope: str) -> list[str]:
    """A docstring, without its indentation, as reStructuredText."""
    result: list[str] = []
    body: list[str] = []
    i = 0
    while i < len(lines):
        found = _SECTION.match(lines[i])
        if not found:
            body.append(lines[i])
            i += 1
            continue
        end = i + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" ")):
            end += 1
        if body:
            result += [*_body(body, scope), ""]
            body = []
        content = lines[i + 1 : end]
        if found[2]:
            content = [f"    {found[2]}", *content]
        result += [*_section(found[1], content, scope), ""]
        i = end
    return [*result, *_body(body, scope), ""]


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = converted(lines, name)


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
