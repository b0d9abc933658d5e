"""What a profile found, as rows, as a table and as a picture."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from fastnn._tables import aligned, html_table

__all__ = ["Copy", "Profile", "ProfileRow"]


_HEAD = ("layer", "kind", "direction", "calls", "ms", "share", "10^6 mult.", "MB", "GF/s", "peak", "stream", "kernels")
_LEFT = {0, 1, 2, 11}
_NAMED = 3  # so many layers of one reason are named, the others counted


@dataclass(frozen=True)
class Copy:
    """Arrays that one layer copied in one direction of a step because of how they lay in memory, or of their bytes.

    Attributes:
        purpose: what the copies are and the arrays were not, for instance 'pixel-major'.
        count: how many in a step.
        bytes: of all of them.
    """

    purpose: str
    count: int
    bytes: int


@dataclass(frozen=True)
class ProfileRow:
    """One layer in one direction. All numbers are those of one step.

    Attributes:
        path: of the layer in the network, '' for the network itself; '(loss)', '(optimizer)' and '(rest)' are what is
            no layer: the rest is Python between the layers, and sums where gradients meet.
        kind: the name of its class.
        direction: 'forward'; 'backward', for convolutions and linear layers 'backward data' and 'backward weight'; or
            'step' of the optimiser. Converting dy counts for the data.
        calls: how often it ran.
        seconds: median over the rounds; without the layers within it, which have rows of their own. The backward of a
            layer is that of the operations that its forward ran, or the one that its author wrote.
        share: of the step.
        multiplications: of convolutions and linear layers, without those by zeros of the padding; 0 for other layers.
        bytes: of inputs, outputs, weights and their gradients, once each: what must be moved at least. 0 where a result
            is a view.
        gflops: multiplications and as many additions, in 1e9 a second; None without any.
        peak_share: gflops over the machine's multiply-add peak; None if one of them is unknown.
        bandwidth_share: bytes over seconds over the machine's streaming bandwidth. What is in a cache comes faster, so
            it can be more than 1.
        kernels: the functions of the compiled module that ran.
        algorithm, why: of a convolution or linear layer, and the reason of the choice.
        copies: see `Copy`.
    """

    path: str
    kind: str
    direction: str
    calls: int
    seconds: float
    share: float
    multiplications: int
    bytes: int
    gflops: float | None
    peak_share: float | None
    bandwidth_share: float | None
    kernels: tuple[str, ...]
    algorithm: str
    why: str
    copies: tuple[Copy, ...]

    @property
    def intensity(self) -> float | None:
        """Multiplications and additions for every byte; None without any."""
        return 2 * self.multiplications / self.bytes if self.multiplications and self.bytes else None


@dataclass(frozen=True)
class Profile:
    """The rows of a training step and the machine it ran on; it prints as a table.

    Attributes:
        rows: layers in the order in which they run, each with its directions; then loss, optimiser, rest.
        seconds: of a step, the sum of the rows.
        batch_size, rounds, threads, dtype: of the measurement.
        isa, isa_why: the instruction set whose kernels ran, 'reference' for the NumPy twins, and why it did.
        cpu: its name.
        peak_gflops: multiply-adds on registers, all threads, median over the rounds; None without a compiled module.
        bandwidth_gbs: GB/s of y = a + b on arrays longer than the caches; likewise.
    """

    rows: tuple[ProfileRow, ...]
    batch_size: int
    rounds: int
    threads: int
    dtype: str
    isa: str
    isa_why: str
    cpu: str
    peak_gflops: float | None
    bandwidth_gbs: float | None

    @property
    def seconds(self) -> float:
        return sum(row.seconds for row in self.rows)

    @property
    def copies(self) -> list[tuple[ProfileRow, Copy]]:
        """All hidden copies, with the rows in which they happened."""
        return [(row, copy) for row in self.rows for copy in row.copies]

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html_table(_HEAD, self._body(), _LEFT, self._head(), [*self._reasons(), *self._copy_lines()])

    def table(self) -> str:
        """The rows in aligned columns, totals, the reasons of the algorithms, and the hidden copies."""
        return "\n".join([*self._head(), "", *self._lines(), "", *self._reasons(), *self._copy_lines()])

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The rows as comma-separated values, which are returned and, if a path is given, written to that file."""
        names = [field.name for field in fields(ProfileRow)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        for row in self.rows:
            copies = "; ".join(f"{copy.count} x {copy.purpose}, {copy.bytes} bytes" for copy in row.copies)
            cells = {**vars(row), "kernels": "; ".join(row.kernels), "copies": copies}
            writer.writerow([cells[name] for name in names])
        if path is not None:
            from fastnn.training import atomic_write

            with atomic_write(path, "w", encoding="utf-8") as file:
                file.write(text.getvalue())
        return text.getvalue()

    def plot(self, ax: Any = None) -> Any:
        """Draw the roofline: GF/s over the operations for each byte, one marker for each layer that multiplies.

        Below the slope of the roof memory limits, below its flat part arithmetic. What lies in a cache can be above
        the slope. Work is counted as by the definition, so layers that Winograd's algorithms compute, with hollow
        markers, can be above the flat part: a dotted line says how far. Layers without multiplications have no place
        in the picture; their `bandwidth_share` says how well they do.

        A number stands for the layers that do the same work, whose markers are one above the other.

        Args:
            ax: matplotlib axes to draw on; None for those of a new figure, which no window shows.
        Returns:
            The axes; `ax.figure.savefig(...)` writes them to a file.
        Source: Williams, Waterman, Patterson, 2009, "Roofline: an insightful visual performance model for multicore
        architectures".
        """
        from fastnn.profiling.roofline import plot_roofline

        return plot_roofline(self, ax)

    # ---- parts of the table ------------------------------------------------------------------------------------------
    def _head(self) -> list[str]:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        rounds = "1 round" if self.rounds == 1 else f"medians of {self.rounds} rounds"
        speed = f", {self.batch_size / self.seconds:.0f} images/s" if self.seconds else ""
        lines = [
            f"{self.cpu}, {self.isa}, {threads}, {self.dtype}",
            f"a step of {self.batch_size} images: {self.seconds * 1e3:.2f} ms{speed} ({rounds})",
        ]
        if self.peak_gflops is not None and self.bandwidth_gbs is not None:
            lines.append(
                f"measured meanwhile: {self.peak_gflops:.0f} GF/s of multiply-adds on registers, "
                f"{self.bandwidth_gbs:.1f} GB/s streamed"
            )
        return lines

    def _lines(self) -> list[str]:
        lines = aligned([_HEAD, *self._body()], _LEFT)
        rule = "-" * len(lines[0])
        n = len(self.rows) + 1
        return [lines[0], rule, *lines[1:n], rule, *lines[n:]]

    def _body(self) -> list[list[str]]:
        """The cells of all rows, then of the totals."""
        rows = [[*_cells(row), _kernels(row)] for row in self.rows]
        return [*rows, *([*_cells(row), ""] for row in self._totals())]

    def _totals(self) -> list[ProfileRow]:
        """The sums of the layers by direction, and of everything."""
        layers = [row for row in self.rows if not row.path.startswith("(")]
        parts = [
            ("forward", "of all layers", [row for row in layers if row.direction == "forward"]),
            ("backward", "of all layers", [row for row in layers if row.direction.startswith("backward")]),
            ("step", "everything", list(self.rows)),
        ]
        return [self._sum(direction, kind, rows) for direction, kind, rows in parts]

    def _sum(self, direction: str, kind: str, rows: Sequence[ProfileRow]) -> ProfileRow:
        seconds, whole = sum(row.seconds for row in rows), self.seconds
        multiplications = sum(row.multiplications for row in rows)
        return make_row(
            self.peak_gflops, self.bandwidth_gbs,
            path="total", kind=kind, direction=direction, calls=sum(row.calls for row in rows), seconds=seconds,
            share=seconds / whole if whole else 0.0, multiplications=multiplications,
            bytes=sum(row.bytes for row in rows),
        )  # fmt: skip

    def _reasons(self) -> list[str]:
        """Why this instruction set, and why each algorithm, with the layers and directions that it was taken in."""
        reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
        for row in self.rows:
            if row.algorithm:
                layers = reasons.setdefault((row.algorithm, row.why), {})
                layers.setdefault(row.path or ".", []).append(row.direction)
        return [
            f"{self.isa}: {self.isa_why}",
            *(f"{algorithm}, in {_places(layers)}: {why}" for (algorithm, why), layers in reasons.items()),
        ]

    def _copy_lines(self) -> list[str]:
        if not self.copies:
            return ["hidden copies: none"]
        total = sum(copy.bytes for _, copy in self.copies)
        return [
            f"hidden copies: {total / 1e6:.2f} MB a step",
            *(
                f"  {row.path}, {row.direction}: {copy.count} to be {copy.purpose}, {copy.bytes / 1e6:.2f} MB"
                for row, copy in self.copies
            ),
        ]


def make_row(peak_gflops: float | None, bandwidth_gbs: float | None, **values: Any) -> ProfileRow:
    """A row, with the figures that follow from the others."""
    seconds, multiplications, n_bytes = values["seconds"], values["multiplications"], values["bytes"]
    gflops = 2 * multiplications / seconds / 1e9 if multiplications and seconds else None
    speed = n_bytes / seconds / 1e9 if n_bytes and seconds else None
    values = {"kernels": (), "algorithm": "", "why": "", "copies": (), **values}
    return ProfileRow(
        gflops=gflops,
        peak_share=gflops / peak_gflops if gflops is not None and peak_gflops else None,
        bandwidth_share=speed / bandwidth_gbs if speed is not None and bandwidth_gbs else None,
        **values,
    )


def _places(layers: dict[str, list[str]]) -> str:
    """Layers with their directions, those that have the same ones together."""
    together: dict[tuple[str, ...], list[str]] = {}
    for path, directions in layers.items():
        together.setdefault(tuple(directions), []).append(path)
    places = []
    for taken, paths in together.items():
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        places.append(f"{', '.join(paths[:_NAMED])}{more} ({', '.join(taken)})")
    return "; ".join(places)


def _cells(row: ProfileRow) -> list[str]:
    """The columns of the table but the last."""
    return [
        row.path or ".",
        row.kind,
        row.direction,
        str(row.calls),
        f"{row.seconds * 1e3:.3f}",
        f"{row.share:.1%}",
        f"{row.multiplications / 1e6:.2f}" if row.multiplications else "",
        f"{row.bytes / 1e6:.2f}" if row.bytes else "",
        "" if row.gflops is None else f"{row.gflops:.1f}",
        "" if row.peak_share is None else f"{row.peak_share:.0%}",
        "" if row.bandwidth_share is None else f"{row.bandwidth_share:.0%}",
    ]


def _kernels(row: ProfileRow) -> str:
    return ": ".join(filter(None, (row.algorithm, ", ".join(row.kernels))))
