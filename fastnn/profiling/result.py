"""The result of a profile: rows, a table and a plot."""

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
    """Copies that one layer made, in one direction of a step, because of the memory layout or dtype of its arrays.

    Attributes:
        purpose: the property that the copies have and the arrays did not, for instance 'pixel-major'.
        count: the number of copies in a step.
        bytes: their total size in bytes.
    """

    purpose: str
    count: int
    bytes: int


@dataclass(frozen=True)
class ProfileRow:
    """One layer in one direction. All numbers are those of one step.

    Attributes:
        path: the path of the layer in the network, '' for the network itself. '(loss)' and '(optimizer)' are those;
            '(rest)' is Python between the layers, and the addition of gradients that meet.
        kind: the name of the layer's class.
        direction: 'forward'; 'backward', or for convolutions and linear layers 'backward data' and 'backward weight';
            'step' for the optimiser. Time to convert dy counts as 'backward data'.
        calls: the number of times that it ran.
        seconds: the time in seconds, the median over the rounds, without the layers within it, which have their own
            rows. The backward of a layer is that of the operations that its forward ran, or the one that its author
            wrote.
        share: the fraction of the step's time.
        multiplications: the number of multiplications of a convolution or linear layer, without those by zeros of the
            padding; 0 for other layers.
        bytes: the size of inputs, outputs, weights and their gradients, counted once each: the least that must be
            moved. 0 if the result is a view.
        gflops: multiplications and additions, in 1e9 per second; None for layers without multiplications.
        peak_share: gflops divided by the machine's peak of multiply-adds; None if either is unknown.
        bandwidth_share: bytes per second divided by the machine's memory bandwidth. It can exceed 1, since data in a
            cache is faster.
        kernels: the functions of the compiled module that ran.
        algorithm: the algorithm of a convolution or linear layer, '' for others.
        why: the reason for that algorithm.
        copies: the copies that were made because of memory layout or dtype; see `Copy`.
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
        """The arithmetic intensity: multiplications and additions per byte. None for layers without multiplications."""
        return 2 * self.multiplications / self.bytes if self.multiplications and self.bytes else None


@dataclass(frozen=True)
class Profile:
    """The result of `fastnn.profile`. It prints as a table, and notebooks show it as HTML.

    Attributes:
        rows: the layers in the order in which they run, each with its directions; then the loss, the optimiser and the
            rest.
        seconds: the time of a step in seconds, the sum over the rows.
        batch_size: the number of images in the step.
        rounds: the number of steps that were measured.
        threads: the number of threads.
        dtype: the dtype of the input, float32 if it has no floats.
        isa: the instruction set whose kernels ran; 'reference' for the NumPy twins.
        isa_why: the reason for that instruction set.
        cpu: the name of the CPU.
        peak_gflops: the machine's peak of multiply-adds in registers with all threads, in 1e9 operations per second,
            the median over the rounds; None without a compiled module.
        bandwidth_gbs: the memory bandwidth in GB/s, measured with y = a + b on arrays larger than the caches; likewise.
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
        """All hidden copies, as pairs (row in which they were made, copy)."""
        return [(row, copy) for row in self.rows for copy in row.copies]

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html_table(_HEAD, self._body(), _LEFT, self._head(), [*self._reasons(), *self._copy_lines()])

    def table(self) -> str:
        """The profile as text: the rows in columns, totals, the reasons for the algorithms, and the hidden copies."""
        return "\n".join([*self._head(), "", *self._lines(), "", *self._reasons(), *self._copy_lines()])

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The rows as comma-separated values.

        Args:
            path: a file to write them to. None (default) writes none.
        Returns:
            The text.
        """
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
        """Plot the roofline: GF/s over the arithmetic intensity, with a marker for each layer that multiplies.

        Layers under the slope of the roof are limited by memory, those under its flat part by arithmetic. Layers whose
        data is in a cache can lie above the slope. Work is counted by the definition of the operation, so layers that
        are computed by Winograd's algorithms (hollow markers) can lie above the flat part; a dotted line shows how far.
        Layers without multiplications are not in the plot; see their `bandwidth_share`.

        A number stands for all layers that do the same work. Their markers lie one above the other.

        Args:
            ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        Returns:
            The matplotlib axes; `ax.figure.savefig(...)` writes a file.

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
    """A `ProfileRow`, with the values that follow from the others."""
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
