"""The operations that can be checked, one module each."""

from fastnn.grading.operation import Operation
from fastnn.grading.operations import (
    adam,
    avg_pool2d,
    batch_norm,
    conv2d,
    dropout,
    l2_penalty,
    layer_norm,
    linear,
    max_pool2d,
    numeric_gradient,
    relu,
    sgd_momentum,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    two_layer_network,
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
    dropout,
    sgd_momentum,
    adam,
    numeric_gradient,
    two_layer_network,
    l2_penalty,
)
OPERATIONS: dict[str, Operation] = {module.OPERATION.name: module.OPERATION for module in _MODULES}
