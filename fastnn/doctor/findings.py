"""What the doctor found: findings, and the table of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._tables import html_table

__all__ = ["SEVERITIES", "Diagnosis", "Finding", "Record"]

# From what is certainly wrong to what is worth knowing.
SEVERITIES = ("error", "warning", "note")

_HEAD = ("severity", "finding", "where", "evidence", "likely cause", "what to try")


@dataclass(frozen=True)
class Finding:
    """One cause of trouble.

    Attributes:
        name: which one, in words with underscores, such as 'learning_rate_too_high'. The user's guide lists all.
        severity: 'error' for what cannot be right, 'warning' for what most likely keeps the training from working, and
            'note' for what may be meant so.
        evidence: what was seen, in numbers.
        cause: the likely cause.
        advice: what to try.
        where: path of the layer or parameter, the name of the loader, or '' for the whole training.

    Example:
        >>> from fastnn.doctor import Finding
        >>> Finding("input_range", "warning", "inputs reach 255", "bytes", "divide by 255").line()
        'warning: input_range: inputs reach 255. Likely cause: bytes. Try: divide by 255.'
    """

    name: str
    severity: str
    evidence: str
    cause: str
    advice: str
    where: str = ""

    def line(self) -> str:
        """All of it in one line."""
        where = f" ({self.where})" if self.where else ""
        return f"{self.severity}: {self.name}{where}: {self.evidence}. Likely cause: {self.cause}. Try: {self.advice}."


@dataclass
class Record:
    """The numbers behind the findings, for `Diagnosis.plot`.

    Attributes:
        losses: of the steps that were watched.
        gradient_norms: path of a weight -> the norm of its gradient in each examined step.
        update_ratios: path of a weight -> the norm of its update over the norm of the weight, in each examined step.
        dead_units: path of a layer -> the share of its units that were zero for every input.
    """

    losses: list[float] = field(default_factory=list)
    gradient_norms: dict[str, list[float]] = field(default_factory=dict)
    update_ratios: dict[str, list[float]] = field(default_factory=dict)
    dead_units: dict[str, float] = field(default_factory=dict)

    def median(self, of: dict[str, list[float]]) -> dict[str, float]:
        """The median of each series that has numbers."""
        return {path: float(np.median(values)) for path, values in of.items() if values}

    def loss_array(self) -> NDArray[np.float64]:
        """The losses as an array."""
        return np.array(self.losses, np.float64)


class Diagnosis:
    """What `fastnn.diagnose` or a `Doctor` found; it prints as a table, the worst first.

    Args:
        findings: in any order.
        record: the numbers behind them.
        examined: what was looked at, in a few words.

    Attributes:
        findings: a tuple of `Finding`, sorted by severity.
        record: a `Record`, which `plot` draws.
        examined: as given.

    Example:
        >>> from fastnn.doctor import Diagnosis, Finding
        >>> diagnosis = Diagnosis([Finding("input_range", "warning", "inputs reach 255", "bytes", "divide by 255")])
        >>> diagnosis.healthy, diagnosis.names
        (False, ('input_range',))
        >>> print(diagnosis)
        1 finding: 1 warning
        WARNING  input_range
          evidence  inputs reach 255
          cause     bytes
          try       divide by 255
    """

    def __init__(self, findings: Iterable[Finding] = (), record: Record | None = None, examined: str = "") -> None:
        self.findings = tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
        self.record = Record() if record is None else record
        self.examined = examined

    @property
    def healthy(self) -> bool:
        """Whether there is no error and no warning; there may be notes."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all errors and warnings, each once."""
        return tuple(dict.fromkeys(finding.name for finding in self.findings if finding.severity != "note"))

    def __getitem__(self, name: str) -> Finding:
        """The first finding of that name.

        Raises:
            KeyError: there is none.
        """
        for finding in self.findings:
            if finding.name == name:
                return finding
        known = ", ".join(dict.fromkeys(finding.name for finding in self.findings)) or "none"
        raise KeyError(f"there is no finding {name!r}; there are {known}")

    def __str__(self) -> str:
        return "\n".join([self._summary(), *(line for finding in self.findings for line in _block(finding))])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        if not self.findings:
            return f"<p>{self._summary()}</p>"
        rows = [
            (item.severity, item.name, item.where, item.evidence, item.cause, item.advice) for item in self.findings
        ]
        return html_table(_HEAD, rows, set(range(len(_HEAD))), [self._summary()])

    def _summary(self) -> str:
        counts = [(severity, sum(f.severity == severity for f in self.findings)) for severity in SEVERITIES]
        words = ", ".join(f"{n} {severity}{'s' if n > 1 else ''}" for severity, n in counts if n)
        n = len(self.findings)
        found = f"{n} finding{'s' if n > 1 else ''}: {words}" if n else "nothing found"
        return f"{found} ({self.examined})" if self.examined else found

    def plot(self) -> Any:
        """Draw the losses, the gradient norms and update-to-weight ratios by layer, and the share of dead units.

        Returns:
            A figure of matplotlib, which no window shows; `figure.savefig(...)` writes it to a file.
        """
        from fastnn.doctor.plots import plot_record

        return plot_record(self.record)


def _block(finding: Finding) -> list[str]:
    where = f", {finding.where}" if finding.where else ""
    return [
        f"{finding.severity.upper():<8} {finding.name}{where}",
        f"  evidence  {finding.evidence}",
        f"  cause     {finding.cause}",
        f"  try       {finding.advice}",
    ]
