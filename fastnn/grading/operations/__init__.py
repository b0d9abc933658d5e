"""The operations that can be checked, one module each."""

from fastnn.grading.operation import Operation
from fastnn.grading.operations import batch_norm, layer_norm, linear, relu, sigmoid, softmax, softmax_cross_entropy

__all__ = ["OPERATIONS"]

_MODULES = (linear, relu, sigmoid, softmax, softmax_cross_entropy, batch_norm, layer_norm)
OPERATIONS: dict[str, Operation] = {module.OPERATION.name: module.OPERATION for module in _MODULES}
