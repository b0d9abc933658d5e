"""Tables: aligned columns for terminals, HTML for notebooks."""

import html
from collections.abc import Collection, Iterable, Sequence

__all__ = ["aligned", "html_table"]


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """One line for each row; the columns in `left` are flush left, all others flush right.

    Example:
        >>> aligned([("layer", "ms"), ("0", "12.5")], {0})
        ['layer    ms', '0      12.5']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" if i in left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def html_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    left: Collection[int],
    before: Iterable[str] = (),
    after: Iterable[str] = (),
) -> str:
    """The same as HTML, with lines of text above and below. Every text is escaped: names come from users.

    A table that is wider than the page scrolls by itself.

    Example:
        >>> print(html_table(("layer",), [("<b>",)], {0}, after=["a & b"]))
        <div style="overflow-x: auto">
        <table><thead><tr><th style="text-align: left; padding: 2px 8px">layer</th></tr></thead><tbody>
        <tr><td style="text-align: left; padding: 2px 8px">&lt;b&gt;</td></tr>
        </tbody></table></div>
        <p>a &amp; b</p>
    """

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ("left" if i in left else "right" for i in range(len(cells)))
        words = (
            f'<{tag} style="text-align: {side}; padding: 2px 8px">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(words)}</tr>"

    def paragraphs(texts: Iterable[str]) -> list[str]:
        return [f"<p>{html.escape(text)}</p>" for text in texts]

    table = [
        '<div style="overflow-x: auto">',
        f"<table><thead>{line('th', head)}</thead><tbody>",
        *(line("td", row) for row in rows),
        "</tbody></table></div>",
    ]
    return "\n".join([*paragraphs(before), *table, *paragraphs(after)])
