"""What several operations need."""

from typing import Any

import numpy as np

from fastnn.grading.operation import Inputs

__all__ = ["FLOAT32_HINT", "GRADIENTS", "double"]

GRADIENTS = ("dx", "dweight", "dbias")
FLOAT32_HINT = {"float32": "wrong only for float32: a number is rounded or converted on the way"}


def double(inputs: Inputs) -> dict[str, Any]:
    """The inputs in float64."""
    return {
        name: value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for name, value in inputs.items()
    }
