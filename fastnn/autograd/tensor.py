"""An array that knows how it came about."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["FUNCTIONS", "UFUNCS", "Tensor", "array_of", "enable_grad", "is_grad_enabled", "no_grad", "tensor"]

# What NumPy's functions do with tensors, by function; `numpy_functions.py` fills both.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
