"""Is a gradient right? Every entry of it against differences, in float64, through the compiled kernels."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import nn
from fastnn.functional import _check
from fastnn.insight._causes import Evidence, likely_cause
from fastnn.insight._differences import Comparison, Differences
from fastnn.insight._state import frozen_randomness, observed

__all__ = ["GradcheckResult", "GradientError", "GradientRow", "compare_gradients", "gradcheck"]


class GradientError(ArithmeticError):
    """A gradient is wrong; the message has the whole table and the likely causes."""


@dataclass(frozen=True)
class GradientRow:
    """The check of one gradient.

    Attributes:
        name: the parameter's path, or 'input'.
        shape: of the gradient.
        checked: the number of entries that were checked; not all of them if the array is large.
        error: the largest |analytic - numeric| of an entry, over the sum of the largest |analytic| and |numeric|.
        worst: the index of that entry.
        analytic, numeric: its two values. At a kink, `numeric` is the nearest value that would be right.
        kinks: entries at which the function has a kink: their left and right derivatives differ.
        cause: what is wrong, or ''.
        wrong, wrong_at_kinks: the number of entries that are wrong, and how many of them lie at kinks.
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
    """What `gradcheck` found; `str()` makes a table of it.

    Attributes:
        rows: one for each gradient.
        tolerance: as given.
        notes: which layer of a network is to blame.
    """

    rows: tuple[GradientRow, ...]
    tolerance: float
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all gradients are right."""
        return all(row.ok for row in self.rows)

    @property
    def kinks(self) -> int:
        """The entries at which one-sided derivatives decided."""
        return sum(row.kinks for row in self.rows)

    def __getitem__(self, name: str) -> GradientRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no gradient of {name!r} was checked; there are {', '.join(row.name for row in self.rows)}")

    def raise_if_wrong(self) -> None:
        """Raise GradientError unless all gradients are right."""
        if not self.ok:
            raise GradientError(f"a gradient is wrong\n{self}")

    def __str__(self) -> str:
        head = ("gradient of", "shape", "checked", "relative error", "worst entry", "analytic", "numeric", "kinks", "")
        table = [head, *(self._cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        left = {0, 1, 4, 8}
        lines = [
            "  ".join(
                f"{cell:<{width}}" if i in left else f"{cell:>{width}}"
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in table
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        lines += [f"{row.name}: {row.cause}" for row in self.rows if not row.ok]
        return "\n".join([*lines, *self.notes])

    def _cells(self, row: GradientRow) -> tuple[str, ...]:
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


def gradcheck(
    module: nn.Module,
    x: ArrayLike,
    target: ArrayLike | None = None,
    *,
    criterion: nn.Module | None = None,
    step: float = 1e-4,
    tolerance: float = 1e-6,
    max_entries: int = 1000,
    seed: int = 0,
) -> GradcheckResult:
    """Compare `backward` with differences of `forward`: the gradients of the input and of every parameter.

    The result of `forward` is weighted with random numbers, which are also what `backward` is given. Differences are
    central, extrapolated from two steps. At a kink (ReLU at 0, equal maxima of a pooling window) the one-sided ones
    decide: left, right, or anything between is right, and the entry counts as a kink. Kinks that lie within a step, but
    not at the point itself, are avoided with smaller steps. Where several kinks of a network act on one result, none of
    this bounds what is right; then every layer must be right alone, and the network right beside the point.

    The work is done on a copy in float64, in the modes that the module is in: the module itself and the states of all
    random generators stay as they are. Random layers draw the same numbers every time.

    Args:
        module: a layer, a network, or a loss; yours may be plain NumPy. It must keep float64.
        x: the input, converted to float64. Integers have no gradient and stay as they are.
        target: passed on as the second argument, as losses need it.
        criterion: a loss that follows the module; `target` is then passed to it.
        step: of the differences, for entries of magnitude 1 or less; larger ones have steps in proportion.
        tolerance: largest relative error, see `GradientRow.error`.
        max_entries: of larger arrays, so many entries are checked, at random places.
        seed: of the weights and the places.
    Returns:
        A table; `.ok` says whether all is right, `.raise_if_wrong()` raises. For a wrong gradient it names the likely
        cause, and for a network the layer that is wrong on its own.
    Raises:
        TypeError: the result of `forward` is not float64.
        ValueError: a setting is out of range.
    Example:
        >>> from fastnn import insight
        >>> class Square(nn.Module):
        ...     def forward(self, x):
        ...         self.x = x
        ...         return x**2
        ...     def backward(self, dy):
        ...         return dy * self.x
        >>> result = insight.gradcheck(Square(), np.linspace(-1, 1, 7))
        >>> result.ok, result["input"].cause
        (False, 'the gradient is 2 times too small: the square of a loss or a regulariser with or without its 1/2')
        >>> insight.gradcheck(nn.Conv2d(2, 3, 3), np.ones((1, 2, 4, 4))).ok
        True
    """
    _check_settings("gradcheck", step, tolerance, max_entries)
    network = copy.deepcopy(module if criterion is None else _WithLoss(module, criterion)).astype(np.float64)
    for part in network.modules():
        object.__setattr__(part, "input_grad", True)
    network.requires_grad_()
    arguments = tuple(_as_doubles(value) for value in ((x,) if target is None else (x, target)))
    settings = {"step": step, "tolerance": tolerance, "max_entries": max_entries, "seed": seed}
    result, calls = _checked(network, arguments, settings)
    if result.ok or not calls:
        return result
    notes = _blame(calls, settings)
    if not notes and all(row.ok or 0 < row.wrong == row.wrong_at_kinks for row in result.rows):
        # Where several kinks act on one element of y, its one-sided derivatives do not bound what is right: the layers
        # then decide, each alone at this point, and the network right beside it, where there are no kinks.
        beside, _ = _checked(network, _nudged(network, arguments, seed), settings)
        if beside.ok:
            return GradcheckResult(tuple(map(_decided_beside, result.rows, beside.rows)), tolerance)
    return GradcheckResult(result.rows, tolerance, notes or (_CONNECTION,))


_CONNECTION = "every layer is right on its own: look at how they are connected"


def _nudged(network: nn.Module, arguments: tuple[NDArray, ...], seed: int) -> tuple[NDArray, ...]:
    """Move the parameters a little, in place, and the input, of which the result has a copy."""
    rng = np.random.default_rng(seed)

    def moved(array: NDArray) -> NDArray:
        return array + 1e-3 * np.maximum(1, np.abs(array)) * rng.uniform(-1, 1, array.shape)

    for parameter in network.parameters():
        parameter.data = moved(parameter.data)
    x, *others = arguments
    return (moved(x) if x.dtype.kind == "f" else x, *others)


def _decided_beside(row: GradientRow, beside: GradientRow) -> GradientRow:
    return row if row.ok else replace(beside, kinks=row.kinks)


class _WithLoss(nn.Module):
    def __init__(self, model: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion

    def forward(self, x: Any, target: Any) -> Any:  # type: ignore[override]
        return self.criterion(self.model(x), target)

    def backward(self, dloss: Any) -> Any:
        return self.model.backward(_backward(self.criterion, np.asarray(dloss)))


@dataclass
class _Call:
    """One run of a layer within a network."""

    path: str
    module: nn.Module
    arguments: tuple[Any, ...] = ()
    dy: NDArray | None = None


def _as_doubles(value: ArrayLike) -> NDArray:
    array = np.array(value)  # always a copy, since single entries will be changed
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _backward(module: nn.Module, dy: NDArray) -> Any:
    """Losses may take no gradient: it is 1."""
    if dy.ndim == 0 and dy == 1:
        parameters = inspect.signature(module.backward).parameters.values()
        if all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            return module.backward()  # type: ignore[call-arg]
    return module.backward(np.array(dy))  # a copy: it may be written into


def _checked(
    network: nn.Module, arguments: tuple[NDArray, ...], settings: dict[str, Any]
) -> tuple[GradcheckResult, list[_Call]]:
    """The table, and the calls of the layers if there are several."""
    buffers = [
        (module, {name: copy.copy(array) for name, array in module._buffers.items()}) for module in network.modules()
    ]
    rng = np.random.default_rng(settings["seed"])
    with frozen_randomness(network) as rewind:

        def evaluate() -> NDArray:
            rewind()
            for module, arrays in buffers:
                module._buffers.update({name: copy.copy(array) for name, array in arrays.items()})
            y = np.array(network(*arguments))  # a copy: it may be the input itself, or an array that is used again
            if y.dtype != np.float64:
                raise TypeError(
                    f"gradcheck: {type(network).__name__} gives {y.dtype} for an input of float64; in less precision, "
                    f"differences say little"
                )
            return y

        calls = [_Call(path.removeprefix("model."), module) for path, module in network.named_modules()]
        with contextlib.ExitStack() as stack:
            for call in calls:
                stack.enter_context(_recorded(call))
            network.zero_grad()
            y = evaluate()
            dy = rng.standard_normal(y.shape) if y.ndim else np.ones(())
            dx = _backward(network, dy)
        counts = _counts(arguments[0], y)
        gradients = {"input": dx} if arguments[0].dtype.kind == "f" else {}
        arrays: dict[str, NDArray] = {"input": arguments[0]}
        upstream = {"input": calls[0].dy}
        owners = {id(p): call for call in calls for p in call.module._parameters.values() if p is not None}
        for path, parameter in network.named_parameters():
            name = path.removeprefix("model.")
            gradients[name], arrays[name] = parameter.grad, parameter.data
            upstream[name] = owners[id(parameter)].dy
        differences = Differences(evaluate, dy, settings["step"], settings["tolerance"])
        rows = tuple(
            _row(name, arrays[name], gradient, differences, settings["max_entries"], rng, upstream[name], counts)
            for name, gradient in gradients.items()
        )
    leaves = [call for call in calls[1:] if call.arguments and next(call.module.children(), None) is None]
    return GradcheckResult(rows, settings["tolerance"]), leaves


@contextlib.contextmanager
def _recorded(call: _Call) -> Iterator[None]:
    def on_forward(arguments: tuple[Any, ...], _: Any) -> None:
        call.arguments = tuple(np.array(value) for value in arguments)

    def on_backward(arguments: tuple[Any, ...]) -> None:
        call.dy = np.array(arguments[0]) if arguments else None

    with observed(call.module, on_forward, on_backward):
        yield


def _counts(x: NDArray, y: NDArray) -> dict[str, int]:
    counts = {"the batch size": len(x) if x.ndim else 1}
    if y.ndim > 1:
        counts["the number of outputs"] = y.shape[1]
    if y.ndim > 2:
        counts["the number of pixels"] = int(np.prod(y.shape[2:]))
        counts["the batch size times the number of pixels"] = y.size // y.shape[1] if y.size else 0
    elif x.ndim > 1:
        counts["the number of elements of the input"] = x.size
    return counts


def _row(
    name: str,
    array: NDArray,
    gradient: Any,
    differences: Differences,
    max_entries: int,
    rng: np.random.Generator,
    dy: NDArray | None,
    counts: dict[str, int],
) -> GradientRow:
    given = np.zeros(array.shape) if gradient is None else np.array(gradient, np.float64)
    if given.shape != array.shape:
        cause = f"the gradient has the shape {given.shape}, {array.shape} is needed"
        if given.shape == array.shape[::-1]:
            cause += ": it is transposed"
        return GradientRow(name, array.shape, 0, np.inf, (), np.nan, np.nan, 0, cause)
    if not array.size:
        return GradientRow(name, array.shape, 0, 0.0, (), 0.0, 0.0, 0)
    positions = np.arange(array.size)
    if array.size > max_entries:
        positions = np.sort(rng.choice(array.size, max_entries, replace=False))
    found = differences.compare(array, given, positions)
    worst = int(np.argmax(np.where(np.isfinite(found.errors), found.errors, np.inf)))
    return GradientRow(
        name,
        array.shape,
        len(positions),
        float(found.errors[worst]),
        tuple(int(i) for i in np.unravel_index(positions[worst], array.shape)),
        float(found.analytic[worst]),
        float(found.numeric[worst]),
        int(found.kinks.sum()),
        _cause(found, array, given, gradient is None, dy, counts) if found.wrong.any() else "",
        int(found.wrong.sum()),
        int((found.wrong & found.kinks).sum()),
    )


def _cause(
    found: Comparison, array: NDArray, given: NDArray, missing: bool, dy: NDArray | None, counts: dict[str, int]
) -> str:
    if missing:
        return "there is no gradient: backward does not compute it"
    used = ~found.kinks if (found.wrong & ~found.kinks).any() else np.ones_like(found.kinks)
    return likely_cause(Evidence(array, given, found.positions[used], found.numeric[used], dy, counts))


def _blame(calls: list[_Call], settings: dict[str, Any]) -> tuple[str, ...]:
    """A line for each layer that is wrong on its own."""
    notes = []
    for call in calls:
        call.module.zero_grad()
        result, _ = _checked(call.module, call.arguments, settings)
        wrong = ", ".join(f"{row.name}: {row.cause}" for row in result.rows if not row.ok)
        if wrong:
            notes.append(f"layer {call.path!r} ({type(call.module).__name__}) is wrong on its own: {wrong}")
    return tuple(notes)


def compare_gradients(
    function: Callable[[], Any],
    arrays: Mapping[str, NDArray],
    gradients: Mapping[str, NDArray],
    *,
    step: float = 1e-4,
    tolerance: float = 1e-6,
    max_entries: int = 1000,
    seed: int = 0,
) -> GradcheckResult:
    """`gradcheck` for a loss that is no module: any function of some arrays.

    Args:
        function: gives the loss, a number, for what the arrays hold at the time.
        arrays: by name, float64. Their entries are changed one by one, and restored.
        gradients: of the loss, to be checked; the same names.
        step, tolerance, max_entries, seed: as of `gradcheck`.
    Returns:
        The same table as `gradcheck`.
    Raises:
        TypeError: an array is not float64.
        ValueError: the names differ, or a setting is out of range.
    Example:
        >>> from fastnn import insight
        >>> w = np.array([1.0, -2.0, 3.0])
        >>> result = insight.compare_gradients(lambda: 0.05 * (w**2).sum(), {"w": w}, {"w": 0.05 * w})
        >>> result["w"].ok
        False
    """
    _check_settings("compare_gradients", step, tolerance, max_entries)
    if set(arrays) != set(gradients):
        raise ValueError(
            f"compare_gradients: arrays and gradients need the same names. "
            f"Received: arrays={sorted(arrays)}, gradients={sorted(gradients)}"
        )
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.float64:
            raise TypeError(f"compare_gradients: {name} must be an array of float64. Received: {type(array).__name__}")
    rng = np.random.default_rng(seed)
    one = np.ones(())
    differences = Differences(lambda: np.array(function(), np.float64), one, step, tolerance)
    rows = tuple(
        _row(name, array, gradients[name], differences, max_entries, rng, None, {}) for name, array in arrays.items()
    )
    return GradcheckResult(rows, tolerance)


def _check_settings(operation: str, step: float, tolerance: float, max_entries: int) -> None:
    for name, value in (("step", step), ("tolerance", tolerance)):
        if not 0 < value < 1:
            raise ValueError(f"{operation}: {name} must lie in (0, 1). Received: {value!r}")
    _check.integer(operation, "max_entries", max_entries, 1)
