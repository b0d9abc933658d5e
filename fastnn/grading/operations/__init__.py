"""The operations that can be checked, one module each."""

from fastnn.grading.operation import Operation
from fastnn.grading.operations import (
    adam,
    avg_pool2d,
    batch_norm,
    conv2d,
    layer_norm,
    linear,
    max_pool2d,
    relu,
    sgd_momentum,
    sigmoid,
    softmax,
    softmax_cross_entropy,
)

__all__ = ["OPERATIONS"]

_MODULES = (
    linear,
    relu,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    batch_norm,
    layer_norm,
    conv2d,
    max_pool2d,
    avg_pool2d,
    sgd_momentum,
    adam,
)
OPERATIONS: dict[str, Operation] = {module.OPERATION.name: module.OPERATION for module in _MODULES}
