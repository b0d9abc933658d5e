"""A graded submission as one HTML file that needs nothing else."""

from html import escape
from typing import TYPE_CHECKING

from fastnn.grading.report import Part, Report
from fastnn.grading.text import clean

if TYPE_CHECKING:
    from fastnn.grading.assignment import Assignment, Result

__all__ = ["assignment_fragment", "report_fragment", "to_html"]

# Contrast of text to its ground is at least 5 to 1 in both schemes; words say what colours say.
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1c1e21; --soft: #57606a; --line: #d8dce1; --box: #f3f5f7;
        --right: #14692f; --wrong: #b3201a; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --text: #e4e6e9; --soft: #a4adb8; --line: #363c44; --box: #20252b;
          --right: #6fcf8b; --wrong: #ff9089; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--ground); margin: 0 auto;
       max-width: 52rem; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p, ul { margin: .4rem 0; } ul { padding-left: 1.3rem; }
.soft { color: var(--soft); } .right { color: var(--right); } .wrong { color: var(--wrong); }
.points { font-size: 1.2rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; padding-right: 0; }
pre { font: .85rem/1.45 ui-monospace, monospace; background: var(--box); border-radius: 4px; padding: .6rem .75rem;
      overflow-x: auto; white-space: pre-wrap; }
summary { cursor: pointer; color: var(--soft); }
"""


def _text(text: str) -> str:
    return escape(clean(text))


def to_html(assignment: "Assignment") -> str:
    """The page; everything in it that a submission wrote is escaped."""
    rows = [
        f'<tr><td><a href="#task-{number}">{_text(result.name)}</a></td>'
        f'<td class="{_verdict(result.report.passed)}">{_verdict(result.report.passed)}</td>'
        f'<td class="number">{result.report.points:g} of {result.report.max_points:g}</td></tr>'
        for number, result in enumerate(assignment.results, 1)
    ]
    notes = "".join(f"<li>{_text(note)}</li>" for note in assignment.notes)
    body = [
        f"<h1>{_text(assignment.title)}</h1>",
        f'<p class="soft">{_text(assignment.submission)}, seed {assignment.seed}</p>',
        f'<p class="points">{assignment.points:g} of {assignment.max_points:g} points</p>',
        '<table><thead><tr><th>Task</th><th>Result</th><th class="number">Points</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>",
        f'<ul class="soft">{notes}</ul>' if notes else "",
        *(_task(number, result) for number, result in enumerate(assignment.results, 1)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(assignment.title)}: {_text(assignment.submission)}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(filter(None, body)) + "\n</body>\n</html>\n"
    )


def assignment_fragment(assignment: "Assignment") -> str:
    """The same for a notebook, in whose page and colours it stands."""
    notes = "".join(f"<li>{_text(note)}</li>" for note in assignment.notes)
    points = f"{assignment.points:g} of {assignment.max_points:g} points"
    parts = [
        f"<div><strong>{_text(assignment.title)}</strong>: {points}</div>",
        f"<div>{_text(assignment.submission)}, seed {assignment.seed}</div>" if assignment.submission else "",
        f"<ul>{notes}</ul>" if notes else "",
        *(_findings(result, "div") for result in assignment.results),
    ]
    return "\n".join(filter(None, parts))


def report_fragment(report: Report) -> str:
    """The report of one check, for a notebook."""
    head = f"<div><strong>{_text(report.operation)}</strong>: {report.points:g} of {report.max_points:g} points</div>"
    return "\n".join([head, *(_part(part, "div") for part in report.parts)])


def _verdict(passed: bool) -> str:
    return "right" if passed else "wrong"


def _task(number: int, result: "Result") -> str:
    return f'<section id="task-{number}">\n<h2>{_text(result.name)}</h2>\n{_findings(result, "h3")}\n</section>'


def _findings(result: "Result", heading: str) -> str:
    parts = [] if heading == "h3" else [f"<div><strong>{_text(result.name)}</strong></div>"]
    parts += [_part(part, heading) for part in result.report.parts]
    if result.trace:
        parts.append(f"<pre>{_text(result.trace)}</pre>")
    if result.hint:
        parts.append(f"<p><strong>Hint.</strong> {_text(result.hint)}</p>")
    if result.output:
        parts.append(f"<details><summary>What the code printed</summary><pre>{_text(result.output)}</pre></details>")
    return "\n".join(parts)


def _part(part: Part, heading: str) -> str:
    verdict = _verdict(part.passed)
    lines = [
        f'<{heading}>{_text(part.name)}: <span class="{verdict}">{verdict}</span>, '
        f"{part.points:g} of {part.max_points:g} points</{heading}>"
    ]
    if part.mistakes:
        lines.append("<ul>" + "".join(f"<li>{_text(mistake)}</li>" for mistake in part.mistakes) + "</ul>")
    if part.details:
        lines.append(f"<details><summary>Details</summary><pre>{_text(part.details)}</pre></details>")
    return "\n".join(lines)
