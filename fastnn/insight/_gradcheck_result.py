"""The result of a gradient check, as rows and as a table."""

from dataclasses import dataclass

from fastnn._tables import aligned, html_table

__all__ = ["GradcheckResult", "GradientError", "GradientRow"]


_HEAD = ("gradient of", "shape", "checked", "relative error", "worst entry", "analytic", "numeric", "kinks", "")
_LEFT = {0, 1, 4, 8}


class GradientError(ArithmeticError):
    """A gradient is wrong. The message holds the whole table and the likely causes. See `GradcheckResult`."""


@dataclass(frozen=True)
class GradientRow:
    """The check of one gradient.

    Attributes:
        name: the path of the parameter, or 'input'.
        shape: the shape of the gradient.
        checked: the number of entries that were checked. For large arrays it is not all of them.
        error: the largest |analytic - numeric| over all entries, divided by max |analytic| + max |numeric|.
        worst: the index of the entry with that error.
        analytic: the gradient from `backward` at that entry.
        numeric: the gradient from finite differences at that entry; at a kink, the nearest value that would be right.
        kinks: the number of entries at which the left and the right derivative differ.
        cause: what is wrong, or '' if the gradient is right.
        wrong: the number of wrong entries.
        wrong_at_kinks: the number of wrong entries at kinks.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    error: float
    worst: tuple[int, ...]
    analytic: float
    numeric: float
    kinks: int
    cause: str = ""
    wrong: int = 0
    wrong_at_kinks: int = 0

    @property
    def ok(self) -> bool:
        """Whether the gradient is right."""
        return not self.cause


@dataclass(frozen=True)
class GradcheckResult:
    """The result of `gradcheck`. It prints as a table; `result["weight"]` is the row of one gradient.

    Attributes:
        rows: one `GradientRow` for each gradient.
        tolerance: the largest relative error that was accepted.
        notes: remarks, such as which layer of a network is wrong.
        faults: mistakes other than wrong numbers, such as a layer that changed its input.
    Example:
        >>> from fastnn import insight
        >>> result = insight.gradcheck(nn.Linear(3, 2), np.ones((4, 3)))
        >>> result.ok, result["weight"].shape, result["weight"].checked
        (True, (2, 3), 6)
    """

    rows: tuple[GradientRow, ...]
    tolerance: float
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all gradients are right and no other mistake was found."""
        return not self.faults and all(row.ok for row in self.rows)

    @property
    def kinks(self) -> int:
        """The number of entries, over all gradients, at which the left and the right derivative differ."""
        return sum(row.kinks for row in self.rows)

    def __getitem__(self, name: str) -> GradientRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no gradient of {name!r} was checked; there are {', '.join(row.name for row in self.rows)}")

    def raise_if_wrong(self) -> None:
        """Raise GradientError, with the table as its message, unless everything is right."""
        if not self.ok:
            raise GradientError(f"a gradient is wrong\n{self}")

    def __str__(self) -> str:
        lines = aligned([_HEAD, *(_cells(row) for row in self.rows)], _LEFT)
        lines.insert(1, "-" * max(map(len, lines)))
        return "\n".join([*lines, *self._remarks()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html_table(_HEAD, map(_cells, self.rows), _LEFT, after=self._remarks())

    def _remarks(self) -> list[str]:
        return [*(f"{row.name}: {row.cause}" for row in self.rows if not row.ok), *self.faults, *self.notes]


def _cells(row: GradientRow) -> tuple[str, ...]:
    return (
        row.name,
        "x".join(map(str, row.shape)) or "scalar",
        f"{row.checked:,}",
        f"{row.error:.1e}",
        str(list(row.worst)),
        f"{row.analytic:.8g}",
        f"{row.numeric:.8g}",
        str(row.kinks) if row.kinks else "",
        "ok" if row.ok else "WRONG",
    )
