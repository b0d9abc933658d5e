"""The report as Markdown, and as one self-contained HTML file."""

import base64
import re
from html import escape
from typing import Any

import numpy as np

from fastnn.courses.report import FAIL, NOT_RUN, PASS, Checks, Figure, Report, Row, Table, Task, Text

_COLUMNS = ["what", "expected", "ours", "difference", "allowed", "verdict"]
_QUICK = "A quick run: less data or fewer steps than the course asks for. Rows that need all of it are not judged."
# Colours of text on white with a contrast of at least 5 to 1; the words say the same.
_VERDICT_CLASS = {PASS: "pass", FAIL: "fail", NOT_RUN: "open"}
_NUMBER, _FAILED = ' class="number"', ' class="failed"'

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1c1e21; background: #fff; margin: 0 auto; max-width: 60rem;
       padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid #d8dce1; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p, ul, ol { margin: .5rem 0; }
code, pre { font: .9em ui-monospace, monospace; background: #f3f5f7; border-radius: 3px; }
code { padding: .1em .3em; }
pre { padding: .75rem; overflow-x: auto; }
pre code { padding: 0; }
.course { color: #57606a; margin: 0 0 1rem; }
.summary { border-left: 4px solid; padding: .4rem .9rem; background: #f7f8f9; font-weight: 600; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; color: #57606a; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid #e3e6ea; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #b8bec6; white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; }
td .note { display: block; color: #57606a; font-size: .87rem; }
tr.failed td { background: #fdf0ef; }
td.pass, td.fail, td.open { font-weight: 600; white-space: nowrap; }
.pass { color: #14692f; } .fail { color: #b3201a; } .open { color: #57606a; }
figure { margin: 1.25rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #57606a; font-size: .92rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .92rem; }
dt { color: #57606a; } dd { margin: 0; }
"""


# ---- cells -----------------------------------------------------------------------------------------------------------
def _value(value: Any, digits: int = 12) -> str:
    """A number with as many digits as somebody may have printed; anything else as it is."""
    if value is None:
        return ""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple | np.ndarray):
        return f"{np.size(value):,} values"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> str:
    """Of a table that is no check."""
    return _value(value, digits=6)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _difference(row: Row) -> str:
    if row.difference is None:
        return ""
    if row.difference == 0:
        return "0"
    return f"{row.difference:+.4g}" if abs(row.difference) >= 1e-3 else f"{row.difference:+.1e}"


def _cells(row: Row) -> list[str]:
    """Of a check, in the order of _COLUMNS."""
    what = f"{row.what} (worst of {row.elements:,})" if row.elements > 1 else row.what
    return [what, _value(row.expected), _value(row.ours), _difference(row), row.allowed, _verdict(row.verdict)]


def _verdict(verdict: str) -> str:
    return "FAIL" if verdict == FAIL else verdict


# ---- Markdown --------------------------------------------------------------------------------------------------------
def to_markdown(report: Report) -> str:
    blocks = [f"# {report.title}"]
    blocks += [text for text in (report.course, report.about) if text]
    blocks.append(f"**{report.verdict()}.**")
    if report.quick:
        blocks.append(_QUICK)
    blocks.append("\n".join(f"- {name}: {text}" for name, text in report.facts.items() if text))
    for task in report.tasks:
        blocks += _task_markdown(task)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _task_markdown(task: Task) -> list[str]:
    blocks = [f"## {task.heading}"]
    blocks += [f"**{name}.** {text}" for name, text in (("Asked", task.asked), ("Done", task.done)) if text]
    for item in task.items:
        if isinstance(item, Text):
            blocks.append(item.markdown.strip())
        elif isinstance(item, Checks):
            blocks.append(_checks_markdown(item))
        elif isinstance(item, Table):
            rows = [[_cell(cell) for cell in row] for row in item.rows]
            blocks += [f"*{item.caption}*", _table_markdown(item.columns, rows)]
        else:
            blocks += [f"![{item.caption}]({item.name}.png)", f"*{item.caption}*"]
    return blocks


def _checks_markdown(checks: Checks) -> str:
    has_notes = any(row.note for row in checks.rows)
    rows = [_cells(row) + ([row.note] if has_notes else []) for row in checks.rows]
    return _table_markdown(_COLUMNS + (["note"] if has_notes else []), rows)


def _table_markdown(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_in_a_cell, line))} |" for line in lines)


def _in_a_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ---- HTML ------------------------------------------------------------------------------------------------------------
def to_html(report: Report) -> str:
    verdict = "fail" if report.failed else "pass"
    body = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="course">{escape(report.course)}</p>' if report.course else "",
        _text_html(report.about),
        f'<p class="summary {verdict}">{escape(report.verdict())}.</p>',
        f"<p>{_QUICK}</p>" if report.quick else "",
        "<dl>",
        *(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in report.facts.items() if text),
        "</dl>",
        *(_task_html(task) for task in report.tasks),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _task_html(task: Task) -> str:
    parts = [f"<h2>{escape(task.heading)}</h2>"]
    parts += [_text_html(f"**{name}.** {text}") for name, text in (("Asked", task.asked), ("Done", task.done)) if text]
    for item in task.items:
        if isinstance(item, Text):
            parts.append(_text_html(item.markdown))
        elif isinstance(item, Checks):
            parts.append(_checks_html(item))
        elif isinstance(item, Table):
            parts.append(_table_html(item))
        else:
            parts.append(_figure_html(item))
    return "\n".join(parts)


def _checks_html(checks: Checks) -> str:
    lines = []
    for row in checks.rows:
        what, *numbers, allowed, verdict = _cells(row)
        note = f'<span class="note">{_inline(row.note)}</span>' if row.note else ""
        cells = [f"<td>{escape(what)}{note}</td>"]
        cells += [f"<td{_NUMBER}>{escape(number)}</td>" for number in numbers]
        cells.append(f"<td>{escape(allowed)}</td>")
        name = _VERDICT_CLASS[row.verdict]
        cells.append(f'<td class="{name}">{escape(verdict)}</td>')
        lines.append(f"<tr{_FAILED if name == 'fail' else ''}>{''.join(cells)}</tr>")
    return _grid("", _COLUMNS, lines)


def _table_html(table: Table) -> str:
    lines = []
    for row in table.rows:
        cells = [f"<td{_NUMBER if _is_number(cell) else ''}>{_inline(_cell(cell))}</td>" for cell in row]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return _grid(table.caption, table.columns, lines)


def _grid(caption: str, columns: list[str], lines: list[str]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    title = f"<caption>{_inline(caption)}</caption>" if caption else ""
    body = "\n".join(lines)
    return f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _figure_html(figure: Figure) -> str:
    content = base64.b64encode(figure.png).decode("ascii")
    return (
        f'<figure><img alt="{escape(figure.caption)}" src="data:image/png;base64,{content}">'
        f"<figcaption>{_inline(figure.caption)}</figcaption></figure>"
    )


def _text_html(markdown: str) -> str:
    """The Markdown that `Report.text` promises."""
    parts: list[str] = []
    # Odd pieces are between the fences.
    for index, piece in enumerate(re.split(r"^```.*$", markdown, flags=re.MULTILINE)):
        if index % 2:
            parts.append(f"<pre><code>{escape(piece.strip(chr(10)))}</code></pre>")
        else:
            parts += [_block_html(block) for block in re.split(r"\n\s*\n", piece) if block.strip()]
    return "\n".join(parts)


def _block_html(block: str) -> str:
    """A heading, or a paragraph, each with a list below it or not."""
    lines = [line.strip() for line in block.strip().splitlines()]
    if lines[0].startswith("#"):
        rest = "\n".join(lines[1:])
        return f"<h3>{_inline(lines[0].lstrip('#').strip())}</h3>" + (_block_html(rest) if rest else "")
    first = next((i for i, line in enumerate(lines) if line.startswith("- ")), len(lines))
    items: list[str] = []
    for line in lines[first:]:
        if line.startswith("- "):
            items.append(line[2:])
        else:  # goes on
            items[-1] += f" {line}"
    paragraph = f"<p>{_inline(' '.join(lines[:first]))}</p>" if first else ""
    return paragraph + (f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>" if items else "")


def _inline(text: str) -> str:
    """Code and bold within a line; everything else is text."""
    pieces = re.split(r"(`[^`]+`)", text)
    for index, piece in enumerate(pieces):
        if index % 2:
            pieces[index] = f"<code>{escape(piece[1:-1])}</code>"
        else:
            pieces[index] = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(piece))
    return "".join(pieces)
