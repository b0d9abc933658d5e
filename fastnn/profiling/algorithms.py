"""Which algorithm computes a convolution, and why: the decision of the planner."""

from typing import Any

from fastnn import _runtime, nn
from fastnn.functional._conv2d_plan import explain

__all__ = ["algorithm_of"]


def algorithm_of(layer: Any, direction: str, x_shape: tuple[int, ...]) -> tuple[str, str]:
    """The algorithm of a convolution or linear layer, and the reason why it runs. Both are '' for other layers.

    Args:
        layer: the layer.
        direction: 'forward', 'backward data', 'backward weight', or 'backward' for layers that do not distinguish them.
        x_shape: the shape of the layer's input.
    Example:
        >>> from fastnn.profiling.algorithms import algorithm_of
        >>> algorithm_of(nn.Linear(8, 4), "forward", (2, 8))
        ('direct', 'a linear layer is the convolution of one pixel with a filter of one tap')
    """
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return "", ""
    if _runtime.uses_reference():
        return "reference", "the 'reference' backend was chosen"
    if isinstance(layer, nn.Linear):
        return "direct", "a linear layer is the convolution of one pixel with a filter of one tap"
    if direction == "backward":  # of a convolution whose gradients were not told apart
        return layer.algorithm, ""
    algorithm, why, _ = explain(
        x_shape, layer.weight.shape, layer.stride, layer.padding, layer.dilation, layer.groups, layer.algorithm,
        direction.replace(" ", "_"), layer.weight.dtype,
    )  # fmt: skip
    return algorithm, why
