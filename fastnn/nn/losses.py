"""Losses between two arrays, and the base class of all losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.autograd.tape import run
from fastnn.autograd.tensor import Tensor
from fastnn.functional import _loss
from fastnn.functional.losses import positive_delta
from fastnn.nn.module import Module

__all__ = ["BCELoss", "BCEWithLogitsLoss", "HuberLoss", "L1Loss", "Loss", "MSELoss", "SmoothL1Loss"]


class Loss(Module):
    """The base of all losses: a module without parameters that compares an input with a target.

        loss = criterion(output, target)         # a float
        model.backward(criterion.backward())     # dloss/doutput

    A subclass sets `function` and returns from `settings` its keywords. If that takes no tensors, it sets `gradient`,
    too: gradient(dloss, input, target, **settings). Or it defines `forward(input, target)` itself, from functions that
    take tensors, or `forward` and `backward(dloss)`.

    Args:
        reduction: 'mean', 'sum', or 'none'.
    Attributes:
        targets_are_classes: whether a target says which class is right, so that accuracy has a meaning: True, False, or
            None where nobody knows.
    """

    if TYPE_CHECKING:  # a float from arrays, a tensor from tensors; with reduction='none' an array of either kind

        def __call__(self, *arguments: Any, **keywords: Any) -> Any: ...

    function: ClassVar[Callable[..., Any]]
    gradient: ClassVar[Callable[..., NDArray] | None] = None
    # Nothing but the input has a gradient where arrays are compared.
    _first_with_gradients = 1
    _lends_unrecorded = False
    targets_are_classes: ClassVar[bool | None] = None

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        _loss.check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def settings(self) -> dict[str, Any]:
        """The keywords of `function` and `gradient`."""
        return {"reduction": self.reduction}

    def forward(self, input: NDArray, target: NDArray) -> Any:
        """The loss: a float, or an array with reduction='none'."""
        gradient = type(self).gradient
        if gradient is None:
            return type(self).function(input, target, **self.settings())
        return run(_loss.LossOf(type(self).function, gradient, None, **self.settings()), input, target)

    def backward(self, dloss: ArrayLike | None = None) -> NDArray:
        """The gradient with respect to the input of the last `forward`.

        Args:
            dloss: gradient with respect to the loss; 1 by default. Needed with reduction='none'.
        """
        if dloss is None and self.reduction == "none":
            raise TypeError(f"{type(self).__name__}: with reduction='none', backward needs the gradient of every loss")
        return super().backward(1.0 if dloss is None else dloss)

    backward.is_derived = True  # type: ignore[attr-defined]

    def given_back(self, y: Any) -> Any:
        """A loss as it was computed, not rounded to the dtype of its input."""
        value = getattr(y._op, "value", None) if isinstance(y, Tensor) else None
        return super().given_back(y) if not isinstance(value, float) else value

    def averaged_over(self, input: NDArray, target: NDArray) -> float:
        """What the mean of these arguments divides by: the loss of many batches is their mean with these weights.

        Example:
            >>> nn.MSELoss().averaged_over(np.zeros((4, 3)), np.zeros((4, 3)))
            12
        """
        return np.size(input)

    def _register_weight(self, name: str, weight: ArrayLike | None) -> None:
        """Keep weights as a buffer: they are saved with the module, and not trained."""
        array = None if weight is None else _check.reals(type(self).__name__, name, weight)
        if array is not None and array.dtype not in _check.FLOATS:
            array = array.astype(np.float32)
        if array is not None and not np.isfinite(array).all():
            raise ValueError(f"{type(self).__name__}: {name} must be finite. Received: {_check.shown(weight)}")
        self.register_buffer(name, array)

    def extra_repr(self) -> str:
        words = {name: value for name, value in self.settings().items() if not isinstance(value, np.ndarray | None)}
        return ", ".join(f"{name}={value!r}" for name, value in words.items())


def labels_weight(labels: NDArray, ignore_index: int, weight: NDArray | None) -> float:
    """The sum of weight[label], or the number of labels without weights, over those that are not ignored."""
    counted = np.asarray(labels)
    counted = counted[counted != ignore_index]
    return counted.size if weight is None else float(weight[counted].sum(dtype=np.float64))


class MSELoss(Loss):
    """The squared error, (input - target)^2.

    Args:
        reduction: 'mean' over all elements, 'sum', or 'none'.
    Shape:
        - Input, target: any, the same
    Raises:
        ValueError: shapes differ.
        TypeError: dtypes differ, or are not float32 or float64.
    Example:
        >>> criterion = nn.MSELoss()
        >>> criterion(np.array([1.0, 2.0]), np.array([1.0, 5.0])), criterion.backward()
        (4.5, array([ 0., -3.]))

    Source: PyTorch's definition.
    """

    targets_are_classes = False
    function = staticmethod(F.mse_loss)


class L1Loss(Loss):
    """The absolute error, |input - target|; its gradient at 0 is 0.

    Args:
        reduction: 'mean' over all elements, 'sum', or 'none'.
    Shape:
        - Input, target: any, the same
    Raises:
        ValueError: shapes differ.
        TypeError: dtypes differ, or are not float32 or float64.
    Example:
        >>> nn.L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
        1.5

    Source: PyTorch's definition.
    """

    targets_are_classes = False
    function = staticmethod(F.l1_loss)


class SmoothL1Loss(Loss):
    """The squared error where it is small, the absolute error where it is large; continuous, with a continuous slope.

    (input - target)^2 / (2 beta) where |input - target| < beta, else |input - target| - beta / 2

    Args:
        reduction: 'mean' over all elements, 'sum', or 'none'.
        beta: where the square turns into a line; 0 gives L1Loss.
    Shape:
        - Input, target: any, the same
    Raises:
        ValueError: shapes differ.
        TypeError: dtypes differ, or are not float32 or float64.
    Example:
        >>> nn.SmoothL1Loss(reduction="sum")(np.array([1.0, 2.0]), np.array([1.5, 5.0]))
        2.625

    Source: Girshick, 2015, "Fast R-CNN".
    """

    targets_are_classes = False
    function = staticmethod(F.smooth_l1_loss)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = _check.number("SmoothL1Loss", "beta", beta, 0)

    def settings(self) -> dict[str, Any]:
        return {"reduction": self.reduction, "beta": self.beta}


class HuberLoss(Loss):
    """The squared error where it is small, the absolute error where it is large.

    (input - target)^2 / 2 where |input - target| < delta, else delta (|input - target| - delta / 2)

    Args:
        reduction: 'mean' over all elements, 'sum', or 'none'.
        delta: where the square turns into a line; positive.
    Shape:
        - Input, target: any, the same
    Raises:
        ValueError: shapes differ.
        TypeError: dtypes differ, or are not float32 or float64.
    Example:
        >>> nn.HuberLoss(reduction="sum", delta=2.0)(np.array([1.0, 2.0]), np.array([1.5, 5.0]))
        4.125

    Source: Huber, 1964, "Robust estimation of a location parameter".
    """

    targets_are_classes = False
    function = staticmethod(F.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = positive_delta("HuberLoss", delta)

    def settings(self) -> dict[str, Any]:
        return {"reduction": self.reduction, "delta": self.delta}


class BCELoss(Loss):
    """Binary cross-entropy of probabilities.

    loss = -weight (target log(input) + (1 - target) log(1 - input)), where no logarithm is less than -100

    Args:
        weight: a factor for the loss of each element; anything that broadcasts to the input.
        reduction: 'mean' over all elements, 'sum', or 'none'.
    Shape:
        - Input (probabilities), target: any, the same
    Attributes:
        weight: buffer, or None
    Raises:
        ValueError: the input leaves [0, 1].
    Example:
        >>> round(nn.BCELoss()(np.array([0.5, 1.0]), np.array([1.0, 1.0])), 4)
        0.3466

    Source: PyTorch's definition.
    """

    targets_are_classes = False
    function = staticmethod(F.binary_cross_entropy)

    def __init__(self, weight: ArrayLike | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)

    def settings(self) -> dict[str, Any]:
        return {"weight": self.weight, "reduction": self.reduction}


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of scores: `BCELoss` of sigmoid(input), computed without overflow and loss of precision.

    Args:
        weight: a factor for the loss of each element; anything that broadcasts to the input.
        reduction: 'mean' over all elements, 'sum', or 'none'.
        pos_weight: a factor for the part of the loss that belongs to target 1; above 1 it favours recall over
            precision. Broadcasts to the input.
    Shape:
        - Input (scores), target: any, the same
    Attributes:
        weight, pos_weight: buffers, or None
    Raises:
        ValueError: shapes differ.
        TypeError: dtypes differ, or are not float32 or float64.
    Example:
        >>> nn.BCEWithLogitsLoss(reduction="none")(np.array([1e4, -1e4]), np.array([1.0, 1.0]))
        array([    0., 10000.])

    Source: PyTorch's definition.
    """

    targets_are_classes = False
    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(
        self, weight: ArrayLike | None = None, reduction: str = "mean", pos_weight: ArrayLike | None = None
    ) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self._register_weight("pos_weight", pos_weight)

    def settings(self) -> dict[str, Any]:
        return {"weight": self.weight, "reduction": self.reduction, "pos_weight": self.pos_weight}
