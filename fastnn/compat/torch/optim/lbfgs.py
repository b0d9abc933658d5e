"""torch.optim.lbfgs: a quasi-Newton method for losses of all data at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.modes import RECORDING
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.optim.optimizer import writable

__all__ = ["LBFGS"]

# Nocedal and Wright, chapter 3: how much a step must lower the loss, and the slope.
_DECREASE, _CURVATURE = 1e-4, 0.9
_MOST_TRIALS = 25


@dataclass
class _Point:
    """What is known at a distance along a direction."""

    t: float
    loss: float
    gradient: NDArray
    slope: float


class LBFGS(Optimizer):
    """Steps along the gradient times an estimate of the inverse Hessian, from the last `history_size` steps.

    `step(closure)` calls the closure, which computes the loss and its gradients, several times. All parameters are one
    group.

    Args:
        max_iter, max_eval: iterations and calls of the closure for each step; max_eval is 1.25 * max_iter by default.
        tolerance_grad, tolerance_change: a step ends where no gradient is larger, or nothing changes by more.
        line_search_fn: None for steps of lr, or "strong_wolfe" to search for their length.

    Source: Liu and Nocedal, 1989, "On the limited memory BFGS method for large scale optimization"; PyTorch's
    definition.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if float(lr) < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    # ---- all parameters as one vector --------------------------------------------------------------------------------
    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> NDArray:
        parts = [
            np.zeros(p._data.size, p._data.dtype) if p._grad is None else p._grad.reshape(-1) for p in self._params
        ]
        return np.concatenate(parts)

    def _move(self, t: float, direction: NDArray) -> None:
        begin = 0
        for p in self._params:
            array = writable(p)
            array += t * direction[begin : begin + p._data.size].reshape(p._data.shape)
            begin += p._data.size

    # ---- a step ------------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Iterate from here; the loss that the first call of the closure gave."""
        before = RECORDING.set(False)
        try:
            return self._step(closure)
        finally:
            RECORDING.reset(before)

    def _step(self, closure: Callable[[], Any]) -> Any:
        (group,) = self.param_groups
        lr, at_rest = float(group["lr"]), group["tolerance_grad"]
        line_search = group["line_search_fn"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            state["func_evals"] += 1
            recording = RECORDING.set(True)
            try:
                return closure()
            finally:
                RECORDING.reset(recording)

        first_loss = evaluate()
        loss, gradient = float(first_loss), self._gradient()
        n_calls = 1
        if _largest(gradient) <= at_rest:
            return first_loss
        direction, t, history, loss_before = _read(state)
        gradient_before: Any = state["prev_flat_grad"]._data if "prev_flat_grad" in state else None
        for n_iter in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                history, direction = _History(float(1)), -gradient
            else:
                history.add(gradient - gradient_before, direction * t, group["history_size"])
                direction = history.direction(gradient)
            gradient_before, loss_before = gradient.copy(), loss
            t = min(1.0, 1.0 / float(np.abs(gradient).sum())) * lr if state["n_iter"] == 1 else lr
            slope = float(gradient @ direction)
            if slope > -group["tolerance_change"]:
                break
            calls_here = 0
            if line_search is not None:
                if line_search != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                found, calls_here = self._search(
                    evaluate, _Point(0.0, loss, gradient, slope), t, direction, group["tolerance_change"]
                )
                loss, gradient, t = found.loss, found.gradient, found.t
                self._move(t, direction)
            else:
                self._move(t, direction)
                if n_iter != group["max_iter"]:
                    loss, gradient, calls_here = float(evaluate()), self._gradient(), 1
            n_calls += calls_here
            if (
                n_calls >= group["max_eval"]
                or _largest(gradient) <= at_rest
                or _largest(direction * t) <= group["tolerance_change"]
                or abs(loss - loss_before) < group["tolerance_change"]
            ):
                break
        state.update(d=new(direction), t=t, **history.as_state(group["history_size"]))
        state.update(prev_flat_grad=new(gradient_before), prev_loss=loss_before)
        return first_loss

    def _search(
        self, evaluate: Callable[[], Any], start: _Point, t: float, direction: NDArray, least: float
    ) -> tuple[_Point, int]:
        """A step that meets the strong Wolfe conditions, and how many calls of the closure that took."""
        kept = [p._data.copy() for p in self._params]

        def at(t: float) -> _Point:
            self._move(t, direction)
            loss, gradient = float(evaluate()), self._gradient()
            for p, array in zip(self._params, kept, strict=True):
                writable(p)[...] = array
            return _Point(t, loss, gradient, float(gradient @ direction))

        return _strong_wolfe(at, start, t, _largest(direction), least)


def _largest(vector: NDArray) -> float:
    return float(np.abs(vector).max())


# ---- the estimate of the inverse Hessian -----------------------------------------------------------------------------
class _History:
    """Changes of the gradient y and of the parameters s, step by step."""

    def __init__(self, scale: float) -> None:
        self.ys: list[NDArray] = []
        self.steps: list[NDArray] = []
        self.inverses: list[float] = []  # of y @ s
        self.factors: list[float] = []  # of the last direction
        self.scale = scale  # the estimate is a multiple of the identity at first

    def add(self, y: NDArray, step: NDArray, size: int) -> None:
        product = float(y @ step)
        if product <= 1e-10:
            return
        if len(self.ys) == size:
            for kept in (self.ys, self.steps, self.inverses):
                kept.pop(0)
        self.ys.append(y)
        self.steps.append(step)
        self.inverses.append(1.0 / product)
        self.scale = product / float(y @ y)

    def direction(self, gradient: NDArray) -> NDArray:
        """Minus the estimate times the gradient, in two loops over the history."""
        result = -gradient
        self.factors = [0.0] * len(self.ys)
        for i in reversed(range(len(self.ys))):
            self.factors[i] = float(self.steps[i] @ result) * self.inverses[i]
            result = result - self.factors[i] * self.ys[i]
        result = result * self.scale
        for i in range(len(self.ys)):
            result = result + self.steps[i] * (self.factors[i] - float(self.ys[i] @ result) * self.inverses[i])
        return result

    def as_state(self, size: int) -> dict[str, Any]:
        dtype = self.ys[0].dtype if self.ys else None
        numbers = [new(np.array(x, dtype)) for x in self.inverses]
        state: dict[str, Any] = {
            "old_dirs": [new(y) for y in self.ys],
            "old_stps": [new(step) for step in self.steps],
            "ro": numbers,
            "H_diag": new(np.array(self.scale, dtype)) if self.ys else 1,
        }
        if self.factors:
            state["al"] = [new(np.array(x, dtype)) for x in self.factors] + [None] * (size - len(self.factors))
        return state


def _read(state: dict[str, Any]) -> tuple[NDArray, float, _History, float]:
    """The last direction, its length, the history and the loss before it."""
    history = _History(_number(state.get("H_diag", 1)))
    history.ys = [y._data for y in state.get("old_dirs", ())]
    history.steps = [step._data for step in state.get("old_stps", ())]
    history.inverses = [_number(x) for x in state.get("ro", ())]
    direction = state["d"]._data if "d" in state else np.zeros(0)
    return direction, _number(state.get("t", 0.0)), history, _number(state.get("prev_loss", math.inf))


def _number(value: Any) -> float:
    return float(value._data) if isinstance(value, NumPyTensor) else float(value)


# ---- the length of a step --------------------------------------------------------------------------------------------
def _strong_wolfe(
    at: Callable[[float], _Point], start: _Point, t: float, size: float, least: float
) -> tuple[_Point, int]:
    """Grow the step until a good one lies within a bracket, then shrink that."""
    point, calls = at(t), 1
    before = start
    done = False
    bracket: list[_Point] | None = None
    trials = 0
    while trials < _MOST_TRIALS:
        if point.loss > start.loss + _DECREASE * point.t * start.slope or (trials > 1 and point.loss >= before.loss):
            bracket = [before, point]
            break
        if abs(point.slope) <= -_CURVATURE * start.slope:
            bracket, done = [point], True
            break
        if point.slope >= 0:
            bracket = [before, point]
            break
        bounds = point.t + 0.01 * (point.t - before.t), point.t * 10
        before, point = point, at(_cubic(before, point, bounds))
        calls += 1
        trials += 1
    if bracket is None:
        bracket = [start, point]
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    near_an_end = False
    while not done and trials < _MOST_TRIALS:
        left, right = sorted((bracket[0].t, bracket[1].t))
        if (right - left) * size < least:
            break
        t = _cubic(bracket[0], bracket[1], (left, right))
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # Twice near an end, or on it: a step away from it.
            if near_an_end or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                near_an_end = False
            else:
                near_an_end = True
        else:
            near_an_end = False
        point = at(t)
        calls += 1
        trials += 1
        if point.loss > start.loss + _DECREASE * t * start.slope or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if abs(point.slope) <= -_CURVATURE * start.slope:
                done = True
            elif point.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = replace(bracket[low])
            bracket[low] = point
    return bracket[low], calls


def _cubic(a: _Point, b: _Point, bounds: tuple[float, float]) -> float:
    """Where the cubic through both, with their slopes, is least, within bounds; their middle, if it has no minimum."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (bounds[0] + bounds[1]) / 2
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, bounds[0]), bounds[1])


__getattr__ = missing(__name__)
