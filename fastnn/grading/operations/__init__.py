"""The operations that can be checked, one module each."""

from fastnn.grading.operation import Operation
from fastnn.grading.operations import batch_norm

__all__ = ["OPERATIONS"]

OPERATIONS: dict[str, Operation] = {module.OPERATION.name: module.OPERATION for module in (batch_norm,)}
