"""Activation layers made of straight lines and their products."""

from typing import Any, ClassVar

from fastnn import _check
from fastnn import functional as F
from fastnn.functional.hard_activation import bounds
from fastnn.nn.module import Module

__all__ = ["Hardsigmoid", "Hardswish", "Hardtanh", "ReLU6"]


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val).

    Args:
        min_val, max_val: the bounds; the derivative there is taken as 0.
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        ValueError: min_val is not less than max_val.
    Example:
        >>> nn.Hardtanh(-2.0, 2.0)(np.array([-3.0, 0.5]))
        array([-2. ,  0.5])

    Source: Collobert, 2004, "Large scale machine learning".
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val, self.max_val = bounds("Hardtanh", min_val, max_val)
        _check.boolean("Hardtanh", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val!r}, max_val={self.max_val!r}"


class ReLU6(Module):
    """y = min(max(x, 0), 6).

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.ReLU6()(np.array([-1.0, 8.0]))
        array([0., 6.])

    Source: Krizhevsky, 2010, "Convolutional deep belief networks on CIFAR-10".
    """

    _function: ClassVar = "relu6"  # for `_joining`

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _check.boolean("ReLU6", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        return F.relu6(x)


class Hardsigmoid(Module):
    """y = min(max(x + 3, 0), 6) / 6.

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.Hardsigmoid()(np.array([-4.0, 0.0]))
        array([0. , 0.5])

    Source: Courbariaux et al., 2015, "BinaryConnect"; the slope of 1 / 6 is PyTorch's.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _check.boolean("Hardsigmoid", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        return F.hardsigmoid(x)


class Hardswish(Module):
    """y = x * min(max(x + 3, 0), 6) / 6.

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.Hardswish()(np.array([3.0, 5.0]))
        array([3., 5.])

    Source: Howard et al., 2019, "Searching for MobileNetV3".
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _check.boolean("Hardswish", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        return F.hardswish(x)
