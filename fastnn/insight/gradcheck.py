"""Gradient checks: analytic gradients against finite differences, in float64, through the compiled kernels."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _check, nn
from fastnn.autograd import Op, observing
from fastnn.insight import _rows
from fastnn.insight._calls import Call, Record, copied, copies, faults_of, misfits_of
from fastnn.insight._differences import Differences
from fastnn.insight._gradcheck_result import GradcheckResult, GradientError, GradientRow
from fastnn.insight._state import frozen_randomness

__all__ = ["GradcheckResult", "GradientError", "GradientRow", "compare_gradients", "gradcheck"]

# The numbers of gradcheck have a stream of their own: those of `default_rng(seed)` may be the data, and where dy is
# correlated with the data, a wrong gradient looks like another. It spells "grad".
_STREAM = (0x67726164,)


def gradcheck(
    module: nn.Module | Callable[..., Any],
    x: ArrayLike | tuple[ArrayLike, ...],
    target: ArrayLike | None = None,
    *,
    criterion: nn.Module | None = None,
    step: float = 1e-4,
    tolerance: float = 1e-6,
    max_entries: int = 1000,
    seed: int = 0,
) -> GradcheckResult:
    """Check `backward`: compare the gradients of the input and of all parameters with finite differences of `forward`.

    The output of `forward` is multiplied by random weights and summed; these weights are also the gradient that
    `backward` gets. The differences are central and extrapolated from two step sizes.

    At a kink, such as ReLU at 0 or two equal maxima in a pooling window, the one-sided derivatives decide. The left
    one, the right one and any value between are accepted, and the entry is counted as a kink. Kinks near the point but
    not at it are avoided by smaller steps. If several kinks of a network act on one output, the one-sided derivatives
    do not bound the right values. Then each layer must be right by itself, and the network must be right beside the
    point.

    The check also finds mistakes beyond wrong numbers. A layer must add to `.grad` and not replace it, must leave x and
    dy unchanged, and must give the same result for the same input.

    The work is done on a copy in float64, in the modes that the module is in. The module itself and all random
    generators stay as they are. Random layers draw the same numbers in every evaluation.

    Args:
        module: a layer, a network or a loss, with or without its own `backward`; or a function of tensors; or a class
            of operations, `fastnn.Op`, whose constructor needs no arguments. It must compute in float64.
        x: the input, converted to float64; a tuple of arrays for several inputs. Integer arrays have no gradient and
            stay as they are.
        target: a second argument for losses, passed after x. It has no gradient.
        criterion: a loss that follows the module. `target` is then passed to the loss.
        step: the step of the differences, for entries of magnitude 1 or less. Larger entries get proportionally larger
            steps. Default 1e-4.
        tolerance: the largest relative error that is accepted; see `GradientRow.error`. Default 1e-6.
        max_entries: the number of entries, at random positions, that are checked in larger arrays. Default 1000.
        seed: the seed of the random weights and positions. Default 0.
    Returns:
        A `GradcheckResult`, which prints as a table. `.ok` tells whether everything is right; `.raise_if_wrong()`
        raises an error if not. For a wrong gradient it names the likely cause, and in a network the layer that is
        wrong.
    Raises:
        TypeError: `forward` does not return an array of float64, or an argument is not a module or an array.
        ValueError: a setting is out of range, or there is no gradient to check: x holds integers, and the module has no
            parameters.
    Example:
        >>> import fastnn
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
        >>> [row.name for row in insight.gradcheck(fastnn.functional.add, (np.ones(2), np.zeros(2))).rows]
        ['input 0', 'input 1']
    """
    _check_settings("gradcheck", step, tolerance, max_entries, seed)
    checked = _arguments.model("gradcheck", "module", _as_module(module))
    if criterion is not None:
        _arguments.model("gradcheck", "criterion", criterion)
    network = copied(checked if criterion is None else _WithLoss(checked, criterion)).astype(np.float64)
    for part in network.modules():
        part.input_grad = True
    network.requires_grad_()
    several = isinstance(x, tuple) and any(isinstance(value, np.ndarray) for value in x)
    given: Any = x if several else (x,)
    inputs = tuple(_as_doubles("x", value) for value in given)
    arguments = inputs if target is None else (*inputs, _as_doubles("target", target))
    if not any(array.dtype.kind == "f" for array in inputs) and next(network.parameters(), None) is None:
        raise ValueError(
            f"gradcheck: there is no gradient to check: x holds {inputs[0].dtype}, which has none, and "
            f"{_name_of(network)} has no parameters; cast it with x.astype(numpy.float64)"
        )
    settings = {"step": step, "tolerance": tolerance, "max_entries": max_entries, "seed": seed}
    result, calls = _checked(network, arguments, settings, len(inputs))
    if all(row.ok for row in result.rows) or not calls:
        # A gradient of another dtype is converted between layers, so that the numbers of a network may be right.
        return replace(result, faults=(*result.faults, *misfits_of(calls)))
    notes = _blame(calls, settings)
    if not notes and all(row.ok or 0 < row.wrong == row.wrong_at_kinks for row in result.rows):
        # Where several kinks act on one element of y, its one-sided derivatives do not bound what is right: the layers
        # then decide, each alone at this point, and the network right beside it, where there are no kinks.
        beside, _ = _checked(network, _nudged(network, arguments, len(inputs), seed), settings, len(inputs))
        if all(row.ok for row in beside.rows):
            return replace(result, rows=tuple(map(_decided_beside, result.rows, beside.rows)))
    return replace(result, notes=notes or (_CONNECTION,))


_CONNECTION = "every layer is right on its own: look at how they are connected"


def _nudged(network: nn.Module, arguments: tuple[NDArray, ...], n_inputs: int, seed: int) -> tuple[NDArray, ...]:
    """Move the parameters a little, in place, and the inputs, of which the result has copies."""
    rng = _generator(seed)

    def moved(array: NDArray) -> NDArray:
        return array + 1e-3 * np.maximum(1, np.abs(array)) * rng.uniform(-1, 1, array.shape)

    for parameter in network.parameters():
        parameter.data = moved(parameter.data)
    inputs, others = arguments[:n_inputs], arguments[n_inputs:]
    return (*(moved(x) if x.dtype.kind == "f" else x for x in inputs), *others)


def _decided_beside(row: GradientRow, beside: GradientRow) -> GradientRow:
    return row if row.ok else replace(beside, kinks=row.kinks)


class _Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        super().__init__()
        self.function = function
        self.name = name

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def _as_module(value: Any) -> Any:
    """A function, or a class of operations, as a module; anything else as it is."""
    name = getattr(value, "__name__", type(value).__name__)
    if isinstance(value, type):
        return _Function(lambda *inputs: value()(*inputs), name) if issubclass(value, Op) else value
    return _Function(value, name) if callable(value) and not isinstance(value, nn.Module) else value


class _WithLoss(nn.Module):
    def __init__(self, model: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion

    def forward(self, *arguments: Any) -> Any:
        *inputs, target = arguments
        return self.criterion(self.model(*inputs), target)

    def backward(self, dloss: Any) -> Any:
        return self.model.backward(_backward(self.criterion, np.asarray(dloss)))


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_STREAM))


def _as_doubles(name: str, value: ArrayLike) -> NDArray:
    # Always a copy, since single entries will be changed.
    array = np.array(_check.array("gradcheck", name, value))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"gradcheck: {name} must be an array of numbers. Received: {_check.shown(value)}")
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _backward(module: nn.Module, dy: NDArray) -> Any:
    """Losses may take no gradient: it is 1."""
    if dy.ndim == 0 and dy == 1:
        parameters = inspect.signature(module.backward).parameters.values()
        if all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            return module.backward()
    return module.backward(np.array(dy))  # a copy: it may be written into


def _checked(
    network: nn.Module, arguments: tuple[Any, ...], settings: dict[str, Any], n_inputs: int | None
) -> tuple[GradcheckResult, list[Call]]:
    """The table, and the calls of the layers if there are several.

    The first `n_inputs` arguments have gradients if they are floats; None: as many as backward gives.
    """
    rng = _generator(settings["seed"])
    calls = [Call(path.removeprefix("model."), module) for path, module in network.named_modules()]
    leaves = [call for call in calls[1:] if next(call.module.children(), None) is None]
    parameters = {path.removeprefix("model."): parameter for path, parameter in network.named_parameters()}
    arrays = {name: parameter.data for name, parameter in parameters.items()}
    buffers = [(module, _copies(module._buffers)) for module in network.modules()]
    shielded = True  # until it is known that no layer writes into a parameter, all of them get copies
    with frozen_randomness(network) as rewind:

        def evaluate() -> NDArray:
            rewind()
            for module, values in buffers:
                module._buffers.update(_copies(values))
            for name, parameter in parameters.items():
                parameter.data = arrays[name].copy("K") if shielded else arrays[name]
            # Copies: a layer may write into its input, and give the input itself, or an array that it uses again.
            return _result(network, network(*copies(arguments)))

        with observing(Record(calls)):
            network.zero_grad()
            y = evaluate()
            dy = rng.standard_normal(y.shape) if y.ndim else np.ones(())
            try:
                dx = _backward(network, dy)
            except Exception:
                if not (misfits := misfits_of(leaves)):
                    raise
                # A layer failed on what the layer behind it gave: that one is to blame.
                arrays = {**_inputs(arguments, n_inputs or 1), **arrays}
                rows = tuple(_rows.refused(name, array, "backward failed") for name, array in arrays.items())
                return GradcheckResult(rows, settings["tolerance"], misfits, faults_of(calls)), []
        shielded = any(call.writes_parameters for call in calls)
        if n_inputs is None:
            n_inputs = len(dx) if isinstance(dx, tuple) else 1
        inputs = _inputs(arguments, n_inputs)
        arrays.update(inputs)
        gradients = _gradients(arguments, n_inputs, dx, parameters)
        # Copies: a layer may use the array again in its next forward.
        gradients = {name: g.copy("K") if isinstance(g, np.ndarray) else g for name, g in gradients.items()}
        owners = {id(p): call for call in calls for p in call.module._parameters.values() if p is not None}
        upstream = {**dict.fromkeys(inputs, calls[0].dy), **{name: owners[id(p)].dy for name, p in parameters.items()}}
        if not _rows.repeats(y, evaluate()):
            rows = tuple(_rows.refused(name, arrays[name], _NOT_REPEATABLE) for name in gradients)
        else:
            context = _rows.Context(
                Differences(evaluate, dy, settings["step"], settings["tolerance"]),
                settings["max_entries"],
                rng,
                _counts(arguments[0], y),
                {} if leaves else {name: arrays[name] for name in parameters},
            )
            rows = tuple(
                _rows.checked(context, name, arrays[name], gradient, upstream[name])
                for name, gradient in gradients.items()
            )
            prior = {}
            for row in rows:
                if row.ok and row.name in parameters:
                    prior[row.name] = rng.standard_normal(row.shape)
            for name, parameter in parameters.items():
                parameter.grad = prior[name].copy() if name in prior else None
            evaluate()
            second = _gradients(arguments, n_inputs, _backward(network, dy), parameters)
            rows = tuple(
                _rows.accumulated(row, gradients[row.name], prior.get(row.name), second[row.name]) if row.ok else row
                for row in rows
            )
    leaves = [call for call in leaves if call.arguments and isinstance(call.arguments[0], np.ndarray)]
    return GradcheckResult(rows, settings["tolerance"], faults=faults_of(calls)), leaves


def _places(arguments: tuple[Any, ...]) -> list[int]:
    """Which arguments can have gradients."""
    return [i for i, x in enumerate(arguments) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]


def _inputs(arguments: tuple[Any, ...], n: int) -> dict[str, NDArray]:
    """Those of the first `n` arguments that have gradients, by name."""
    return {("input" if n == 1 else f"input {i}"): arguments[i] for i in _places(arguments) if i < n}


def _gradients(arguments: tuple[Any, ...], n: int, dx: Any, parameters: dict[str, nn.Parameter]) -> dict[str, Any]:
    """All gradients by name; a tuple has one for each argument, or for each that can have one."""
    places = _places(arguments)
    if isinstance(dx, tuple):
        found = dict(zip(places if len(dx) == len(places) else range(len(dx)), dx, strict=True))
    else:
        found = dict.fromkeys(places[:1], dx)
    of_inputs = zip(_inputs(arguments, n), places, strict=False)
    return {**{name: found.get(i) for name, i in of_inputs}, **{name: p.grad for name, p in parameters.items()}}


_NOT_REPEATABLE = (
    "forward gives another result for the same input: it depends on what cannot be rewound, such as a generator "
    "without a seed that it makes (keep one as an attribute), or a count in an attribute (make it a buffer)"
)


def _copies(arrays: Mapping[str, NDArray | None]) -> dict[str, NDArray | None]:
    return {name: None if array is None else array.copy("K") for name, array in arrays.items()}


def _name_of(network: Any) -> str:
    checked = network.model if isinstance(network, _WithLoss) else network
    return checked.name if isinstance(checked, _Function) else type(checked).__name__


def _result(network: nn.Module, y: Any) -> NDArray:
    name = _name_of(network)
    if not isinstance(y, np.ndarray | np.generic | float):
        raise TypeError(f"gradcheck: {name} must give one array or number. Received: {type(y).__name__}")
    array = np.array(y)
    if array.dtype != np.float64:
        raise TypeError(
            f"gradcheck: {name} gives {array.dtype} for an input of float64; in less precision, differences say little"
        )
    return array


def _counts(x: NDArray, y: NDArray) -> dict[str, int]:
    counts = {"the batch size": len(x) if x.ndim else 1}
    if y.ndim > 1:
        counts["the number of outputs"] = y.shape[1]
    if y.ndim > 2:
        counts["the number of pixels"] = math.prod(y.shape[2:])
        counts["the batch size times the number of pixels"] = y.size // y.shape[1] if y.size else 0
    elif x.ndim > 1:
        counts["the number of elements of the input"] = x.size
    return counts


def _blame(calls: list[Call], settings: dict[str, Any]) -> tuple[str, ...]:
    """A line for each layer that is wrong on its own."""
    notes = []
    for call in calls:
        call.module.zero_grad()
        result, _ = _checked(call.module, call.arguments, settings, None)
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
    """Compare the gradients of any function of some arrays with finite differences: `gradcheck` for plain NumPy code.

    Args:
        function: called without arguments; returns the loss, a number, for the present contents of the arrays.
        arrays: the arrays by name, float64. Their entries are changed one by one, and restored.
        gradients: the gradients of the loss with respect to the arrays, by the same names.
        step: the step of the differences, for entries of magnitude 1 or less. Larger entries get proportionally larger
            steps. Default 1e-4.
        tolerance: the largest relative error that is accepted; see `GradientRow.error`. Default 1e-6.
        max_entries: the number of entries, at random positions, that are checked in larger arrays. Default 1000.
        seed: the seed of the random positions. Default 0.
    Returns:
        A `GradcheckResult`, which prints as a table.
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
    _check_settings("compare_gradients", step, tolerance, max_entries, seed)
    _arguments.function("compare_gradients", "function", function)
    _check.mapping("compare_gradients", "arrays", arrays)
    _check.mapping("compare_gradients", "gradients", gradients)
    if set(arrays) != set(gradients):
        raise ValueError(
            f"compare_gradients: arrays and gradients need the same names. "
            f"Received: arrays={sorted(map(str, arrays))}, gradients={sorted(map(str, gradients))}"
        )
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.float64:
            raise TypeError(f"compare_gradients: {name} must be an array of float64. Received: {type(array).__name__}")
    differences = Differences(lambda: _loss(function()), np.ones(()), step, tolerance)
    context = _rows.Context(differences, max_entries, _generator(seed))
    given = {name: _check.numbers("compare_gradients", f"gradients[{name!r}]", gradients[name]) for name in arrays}
    rows = (_rows.checked(context, name, array, given[name]) for name, array in arrays.items())
    return GradcheckResult(tuple(rows), tolerance)


def _loss(value: Any) -> NDArray:
    loss = np.array(value)
    if loss.size != 1 or loss.dtype.kind not in "fiub":
        raise TypeError(f"compare_gradients: function must give a number. Received: {value!r}")
    return loss.astype(np.float64).reshape(())


def _check_settings(operation: str, step: float, tolerance: float, max_entries: int, seed: int) -> None:
    for name, value in (("step", step), ("tolerance", tolerance)):
        if not 0 < _check.number(operation, name, value) < 1:
            raise ValueError(f"{operation}: {name} must lie in (0, 1). Received: {value!r}")
    _check.integer(operation, "max_entries", max_entries, 1)
    _check.integer(operation, "seed", seed, 0)
