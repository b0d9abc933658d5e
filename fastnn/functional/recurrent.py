"""Recurrent layers: one direction of one layer over a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn.autograd.products import product, product_transposed, transposed_product
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, array_of

__all__ = ["gru", "lstm", "rnn"]


def lstm(
    x: ArrayLike,
    h: ArrayLike,
    c: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    reverse: bool = False,
) -> Any:
    """One direction of one layer of long short-term memory.

    In every step, a = weight_ih @ x + bias_ih + weight_hh @ h + bias_hh has four parts, in this order:

    i = sigmoid(a_i),  f = sigmoid(a_f),  g = tanh(a_g),  o = sigmoid(a_o)
    c = f * c + i * g
    h = o * tanh(c)

    Args:
        x: the sequence, step by step.
        h, c: the states before the first step.
        weight_ih, weight_hh, bias_ih, bias_hh: the four parts one above the other; biases may be None.
        reverse: whether to go from the last step to the first.
    Shape:
        - x: (L, N, input_size), float32 or float64, L >= 1
        - h, c: (N, hidden_size)
        - weight_ih: (4 * hidden_size, input_size); weight_hh: (4 * hidden_size, hidden_size)
        - bias_ih, bias_hh: (4 * hidden_size,)
        - Result: (output, h, c): h after every step, (L, N, hidden_size), and the states after the last
    Raises:
        ValueError: shapes do not fit.
        TypeError: another dtype, or several.
    Example:
        >>> x, state = np.zeros((3, 2, 5)), np.zeros((2, 1))
        >>> output, h, c = lstm(x, state, state, np.zeros((4, 5)), np.zeros((4, 1)), np.full(4, 100.0))
        >>> c
        array([[3.],
               [3.]])

    Source: Hochreiter and Schmidhuber, 1997, "Long short-term memory"; the forget gate: Gers et al., 2000.
    """
    inputs: Any = _checked("lstm", 4, x, {"h": h, "c": c}, weight_ih, weight_hh, bias_ih, bias_hh)
    reverse = _check.boolean("lstm", "reverse", reverse)
    if _runtime.uses_reference():
        return reference.lstm(*[*inputs, reverse])
    return run(LSTM(reverse), *inputs)


def gru(
    x: ArrayLike,
    h: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    reverse: bool = False,
) -> Any:
    """One direction of one layer of gated recurrent units.

    In every step, a = weight_ih @ x + bias_ih and b = weight_hh @ h + bias_hh have three parts, in this order:

    r = sigmoid(a_r + b_r),  z = sigmoid(a_z + b_z),  n = tanh(a_n + r * b_n)
    h = (1 - z) * n + z * h

    Args:
        x: the sequence, step by step.
        h: the state before the first step.
        weight_ih, weight_hh, bias_ih, bias_hh: the three parts one above the other; biases may be None.
        reverse: whether to go from the last step to the first.
    Shape:
        - x: (L, N, input_size), float32 or float64, L >= 1
        - h: (N, hidden_size)
        - weight_ih: (3 * hidden_size, input_size); weight_hh: (3 * hidden_size, hidden_size)
        - bias_ih, bias_hh: (3 * hidden_size,)
        - Result: (output, h): h after every step, (L, N, hidden_size), and after the last
    Raises:
        ValueError: shapes do not fit.
        TypeError: another dtype, or several.
    Example:
        >>> output, h = gru(np.ones((2, 1, 1)), np.ones((1, 1)), np.zeros((3, 1)), np.zeros((3, 1)))
        >>> output.ravel(), h
        (array([0.5 , 0.25]), array([[0.25]]))

    Source: Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation"; r is applied to b_n, not to h, as in PyTorch.
    """
    inputs: Any = _checked("gru", 3, x, {"h": h}, weight_ih, weight_hh, bias_ih, bias_hh)
    reverse = _check.boolean("gru", "reverse", reverse)
    if _runtime.uses_reference():
        return reference.gru(*[*inputs, reverse])
    return run(GRU(reverse), *inputs)


def rnn(
    x: ArrayLike,
    h: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Any:
    """One direction of one layer of the plain recurrent network.

    h = tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh), in every step

    Args:
        x: the sequence, step by step.
        h: the state before the first step.
        weight_ih, weight_hh, bias_ih, bias_hh: biases may be None.
        nonlinearity: 'tanh', or 'relu' for max(..., 0).
        reverse: whether to go from the last step to the first.
    Shape:
        - x: (L, N, input_size), float32 or float64, L >= 1
        - h: (N, hidden_size)
        - weight_ih: (hidden_size, input_size); weight_hh: (hidden_size, hidden_size)
        - bias_ih, bias_hh: (hidden_size,)
        - Result: (output, h): h after every step, (L, N, hidden_size), and after the last
    Raises:
        ValueError: shapes do not fit.
        TypeError: another dtype, or several.
    Example:
        >>> one = np.ones((1, 1))
        >>> output, h = rnn(np.ones((3, 1, 1)), one, one, one, nonlinearity="relu")
        >>> output.ravel()
        array([2., 3., 4.])

    Source: Elman, 1990, "Finding structure in time".
    """
    inputs: Any = _checked("rnn", 1, x, {"h": h}, weight_ih, weight_hh, bias_ih, bias_hh)
    nonlinearity = _check.one_of("rnn", "nonlinearity", nonlinearity, ("tanh", "relu"))
    reverse = _check.boolean("rnn", "reverse", reverse)
    if _runtime.uses_reference():
        return reference.rnn(*[*inputs, nonlinearity, reverse])
    return run(RNN(reverse, nonlinearity), *inputs)


def _checked(
    operation: str, parts: int, x: Any, states: dict[str, Any], weight_ih: Any, weight_hh: Any, *biases: Any
) -> Any:
    """The inputs, tensors as they are and anything else as arrays, if their shapes and dtypes fit."""
    given = {"x": x, **states, "weight_ih": weight_ih, "weight_hh": weight_hh}
    given |= dict(zip(("bias_ih", "bias_hh"), biases, strict=True))
    ndims = {"x": 3, "bias_ih": 1, "bias_hh": 1}
    arrays = {
        name: None if value is None else _check.floats(operation, name, array_of(value), ndims.get(name, 2))
        for name, value in given.items()
        if value is not None or name.startswith("bias")
    }
    if len(arrays) < len(given):
        missing = next(name for name in given if name not in arrays)
        raise TypeError(f"{operation}: {missing} must be an array. Received: None")
    _check.same_dtype(operation, **arrays)
    steps, n, features = arrays["x"].shape  # type: ignore[union-attr]
    rows, hidden = arrays["weight_hh"].shape  # type: ignore[union-attr]
    if rows != parts * hidden or not hidden:
        reason = "weight_hh must be square" if parts == 1 else f"weight_hh needs {parts} rows for each of its columns"
        raise _check.fail(operation, reason, weight_hh=arrays["weight_hh"])
    if not steps:
        raise _check.fail(operation, "x needs at least one step", x=arrays["x"])
    expected: dict[str, tuple[int, ...]] = dict.fromkeys(states, (n, hidden))
    expected |= {"weight_ih": (rows, features), "bias_ih": (rows,), "bias_hh": (rows,)}
    for name, shape in expected.items():
        array = arrays[name]
        if array is not None and array.shape != shape:
            shown = {"x": arrays["x"], "weight_hh": arrays["weight_hh"], name: array}
            raise _check.fail(operation, f"{name} must have shape {shape}", **shown)
    return [value if isinstance(value, Tensor) else arrays[name] for name, value in given.items()]


class Recurrence(Op):
    """A sequence through one cell: a subclass says what happens in a step, forwards and backwards.

    The products with weight_ih and all gradients of weights take the whole sequence at once; only those with weight_hh
    go step by step.
    """

    is_exact = is_fresh = True
    keeps_result = True
    n_states: ClassVar[int] = 1
    keeps: ClassVar[dict[int, str] | None] = {0: "x", 2: "weight_ih", 3: "weight_hh"}

    x: Any
    weight_ih: Any
    weight_hh: Any

    def __init__(self, reverse: bool) -> None:
        self.reverse = reverse

    def forward(self, x: Any, *others: Any) -> tuple[NDArray, ...]:
        # The arrays of tensors may still have another byte order.
        rest: Any
        x, *rest = (None if array is None else _check.floats("recurrence", "x", array) for array in (x, *others))
        states, (weight_ih, weight_hh, bias_ih, bias_hh) = rest[: self.n_states], rest[self.n_states :]
        steps, n, features = x.shape
        rows, hidden = weight_hh.shape
        self.shape, self.weight_hh = x.shape, weight_hh
        if self.needs_grad:
            if self.needs_grad[0]:
                self.weight_ih = weight_ih
            if self.needs_grad[1 + self.n_states]:
                self.x = x
        weight_hh = _layout.contiguous(weight_hh)
        of_x = product_transposed(_layout.contiguous(x).reshape(steps * n, features), weight_ih)
        of_x = of_x.reshape(steps, n, rows)
        if bias_ih is not None:
            of_x += bias_ih
        # The state before the first step and those after every one.
        self.h = _memory.empty((steps + 1, n, hidden), x.dtype)
        self.h[-1 if self.reverse else 0] = states[0]
        self.prepare(of_x, states)
        with np.errstate(all="ignore"):  # as in C: infinity and NaN are results
            for step in self._order(steps):
                of_h = product_transposed(self.h[self._before(step)], weight_hh)
                if bias_hh is not None:
                    of_h += bias_hh
                self.h[self._after(step)] = self.step(step, of_x[step], of_h)
        output = self.h[:-1] if self.reverse else self.h[1:]
        return output, *self.last(self._after(self._order(steps)[-1]))

    def backward(self, doutput: NDArray, *dstates: NDArray) -> tuple[NDArray | None, ...]:
        n_states = self.n_states
        need_x, need_states = self.needs_grad[0], self.needs_grad[1 : 1 + n_states]
        need_ih, need_hh, need_bias_ih, need_bias_hh = self.needs_grad[1 + n_states :]
        steps, n, features = self.shape
        rows, hidden = self.weight_hh.shape
        weight_hh = _layout.contiguous(self.weight_hh)
        self.start_back(dstates, (steps, n, rows))
        dh = dstates[0]
        with np.errstate(all="ignore"):
            for step in reversed(self._order(steps)):
                dh = self.step_back(step, dh + doutput[step], weight_hh)
        of_x, of_h = (d.reshape(steps * n, rows) for d in self.gradients())
        dx = dweight_ih = dweight_hh = None
        if need_x:
            dx = product(of_x, self.weight_ih).reshape(steps, n, features)
        if need_ih:
            dweight_ih = transposed_product(of_x, _layout.contiguous(self.x).reshape(steps * n, features))
        if need_hh:
            before = self.h[1:] if self.reverse else self.h[:-1]
            dweight_hh = transposed_product(of_h, before.reshape(steps * n, hidden))
        dfirst = (dh, *self.other_states())
        return (
            dx,
            *(d if need else None for d, need in zip(dfirst, need_states, strict=True)),
            dweight_ih,
            dweight_hh,
            _sum_of_rows(of_x) if need_bias_ih else None,
            _sum_of_rows(of_h) if need_bias_hh else None,
        )

    def _order(self, steps: int) -> range:
        return range(steps - 1, -1, -1) if self.reverse else range(steps)

    def _before(self, step: int) -> int:
        """Where, in what has a place more than there are steps, the state before this step is."""
        return step + 1 if self.reverse else step

    def _after(self, step: int) -> int:
        return step if self.reverse else step + 1

    # ---- what differs ------------------------------------------------------------------------------------------------
    def prepare(self, of_x: NDArray, states: Sequence[NDArray]) -> None:
        """Make room for what the steps keep."""
        raise NotImplementedError

    def step(self, step: int, of_x: NDArray, of_h: NDArray) -> NDArray:
        """The next h, from the parts of x and of h, which may be written into."""
        raise NotImplementedError

    def last(self, place: int) -> tuple[NDArray, ...]:
        """The states that stand at this place, as arrays of their own."""
        return (self.h[place].copy(),)

    def start_back(self, dstates: tuple[NDArray, ...], shape: tuple[int, ...]) -> None:
        """Make room for the gradients with respect to the parts of x and of h."""
        self.d = _memory.empty(shape, self.h.dtype)

    def step_back(self, step: int, dh: NDArray, weight_hh: NDArray) -> NDArray:
        """The gradient with respect to the h before this step."""
        raise NotImplementedError

    def gradients(self) -> tuple[NDArray, NDArray]:
        """Those with respect to the parts of x and of h, of all steps."""
        return self.d, self.d

    def other_states(self) -> tuple[NDArray, ...]:
        """The gradients with respect to the states beside h before the first step."""
        return ()


class LSTM(Recurrence):
    """`lstm` of x, h, c, weights and biases."""

    n_states = 2
    keeps: ClassVar = {0: "x", 3: "weight_ih", 4: "weight_hh"}

    def prepare(self, of_x: NDArray, states: Sequence[NDArray]) -> None:
        steps, n, rows = of_x.shape
        self.gates = of_x  # the parts of x become i, f, g and o where they stand
        self.c = _memory.empty((steps + 1, n, rows // 4), of_x.dtype)
        self.c[-1 if self.reverse else 0] = states[1]
        self.tanh_c = _memory.empty((steps, n, rows // 4), of_x.dtype)
        # sigmoid(a) = tanh(a / 2) / 2 + 1 / 2, so that all four parts are one tanh.
        half, one = np.full(rows // 4, 0.5, of_x.dtype), np.ones(rows // 4, of_x.dtype)
        self.scale = np.concatenate([half, half, one, half])
        self.offset = np.concatenate([half, half, 0 * one, half])

    def step(self, step: int, of_x: NDArray, of_h: NDArray) -> NDArray:
        of_x += of_h
        of_x *= self.scale
        np.tanh(of_x, out=of_x)
        of_x *= self.scale
        of_x += self.offset
        i, f, g, o = _parts(of_x, 4)
        c, tanh_c = self.c[self._after(step)], self.tanh_c[step]
        np.multiply(f, self.c[self._before(step)], out=c)
        c += i * g
        np.tanh(c, out=tanh_c)
        return o * tanh_c

    def last(self, place: int) -> tuple[NDArray, ...]:
        return self.h[place].copy(), self.c[place].copy()

    def start_back(self, dstates: tuple[NDArray, ...], shape: tuple[int, ...]) -> None:
        super().start_back(dstates, shape)
        self.dc = dstates[1]

    def step_back(self, step: int, dh: NDArray, weight_hh: NDArray) -> NDArray:
        i, f, g, o = _parts(self.gates[step], 4)
        di, df, dg, do = _parts(self.d[step], 4)
        tanh_c = self.tanh_c[step]
        dc = self.dc + dh * o * (1 - tanh_c * tanh_c)
        np.multiply(dc * g, i * (1 - i), out=di)
        np.multiply(dc * self.c[self._before(step)], f * (1 - f), out=df)
        np.multiply(dc * i, 1 - g * g, out=dg)
        np.multiply(dh * tanh_c, o * (1 - o), out=do)
        self.dc = dc * f
        return product(self.d[step], weight_hh)

    def other_states(self) -> tuple[NDArray, ...]:
        return (self.dc,)


class GRU(Recurrence):
    """`gru` of x, h, weights and biases."""

    def prepare(self, of_x: NDArray, states: Sequence[NDArray]) -> None:
        steps, n, rows = of_x.shape
        self.gates = of_x  # the parts of x become r, z and n where they stand
        self.inner = _memory.empty((steps, n, rows // 3), of_x.dtype)  # what r is applied to

    def step(self, step: int, of_x: NDArray, of_h: NDArray) -> NDArray:
        hidden = of_h.shape[1] // 3
        inner = self.inner[step]
        inner[...] = of_h[:, 2 * hidden :]
        gates = of_x[:, : 2 * hidden]
        gates += of_h[:, : 2 * hidden]
        gates *= 0.5
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        r, z, n = _parts(of_x, 3)
        n += r * inner
        np.tanh(n, out=n)
        return n + z * (self.h[self._before(step)] - n)

    def start_back(self, dstates: tuple[NDArray, ...], shape: tuple[int, ...]) -> None:
        super().start_back(dstates, shape)
        self.of_h = _memory.empty(shape, self.h.dtype)

    def step_back(self, step: int, dh: NDArray, weight_hh: NDArray) -> NDArray:
        r, z, n = _parts(self.gates[step], 3)
        dr, dz, dn = _parts(self.d[step], 3)
        np.multiply(dh * (1 - z), 1 - n * n, out=dn)
        np.multiply(dh * (self.h[self._before(step)] - n), z * (1 - z), out=dz)
        np.multiply(dn * self.inner[step], r * (1 - r), out=dr)
        of_h, hidden = self.of_h[step], dr.shape[1]
        of_h[...] = self.d[step]
        of_h[:, 2 * hidden :] *= r
        return product(of_h, weight_hh) + dh * z

    def gradients(self) -> tuple[NDArray, NDArray]:
        return self.d, self.of_h


class RNN(Recurrence):
    """`rnn` of x, h, weights and biases."""

    def __init__(self, reverse: bool, nonlinearity: str) -> None:
        super().__init__(reverse)
        self.nonlinearity = nonlinearity

    def prepare(self, of_x: NDArray, states: Sequence[NDArray]) -> None:
        pass

    def step(self, step: int, of_x: NDArray, of_h: NDArray) -> NDArray:
        of_h += of_x
        return np.tanh(of_h) if self.nonlinearity == "tanh" else np.maximum(of_h, 0)

    def step_back(self, step: int, dh: NDArray, weight_hh: NDArray) -> NDArray:
        h = self.h[self._after(step)]
        np.multiply(dh, 1 - h * h if self.nonlinearity == "tanh" else h > 0, out=self.d[step])
        return product(self.d[step], weight_hh)


def _parts(rows: NDArray, n: int) -> list[NDArray]:
    """The n parts of every row, as views."""
    size = rows.shape[1] // n
    return [rows[:, begin : begin + size] for begin in range(0, n * size, size)]


def _sum_of_rows(rows: NDArray) -> NDArray:
    # NumPy adds row after row: a long sequence in float32 would lose digits.
    return rows.sum(axis=0, dtype=np.float64).astype(rows.dtype)
