"""torch.autograd.gradcheck: gradients against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.notes import note
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.autograd._backward import grad
from fastnn.courses.central_differences import central_differences

__all__ = ["GradcheckError", "gradcheck"]


class GradcheckError(RuntimeError):
    """Gradients and differences do not agree."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of func(*inputs) are those that central differences give.

    Each element of each result that is a float is checked with respect to each element of each input.

    Args:
        func: a function of tensors that gives a tensor or several.
        inputs: tensors; those that require gradients are checked, and should be float64.
        eps: the distance of the differences.
        atol, rtol: what |gradient - difference| <= atol + rtol * |difference| allows.
        raise_exception: whether to raise where they disagree, instead of giving False.

    Forward and batched gradients, which fastnn has not, cannot be asked for; the other arguments change nothing.
    """
    if check_forward_ad or check_batched_grad or check_batched_forward_grad:
        raise RuntimeError("gradcheck: forward and batched gradients are not there: check_backward_ad alone")
    given = (inputs,) if isinstance(inputs, NumPyTensor) else tuple(inputs)
    checked = [x for x in given if isinstance(x, NumPyTensor) and x._requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    if any(x._data.dtype != np.float64 for x in checked):
        note("gradcheck: an input is not float64: differences of float32 are too coarse for the usual tolerances")
    for x in checked:  # differences are taken by writing into them
        x._data = np.array(x._data, order="C")
    arrays = {str(index): x._data for index, x in enumerate(checked)}
    for place, size in enumerate(output._data.size for output in _outputs(func, given)):
        for element in range(size):

            def value(place: int = place, element: int = element) -> Any:
                return _outputs(func, given)[place].reshape(-1)[element]

            y = value()
            gradients = grad(y, checked, allow_unused=True) if y._requires_grad else [None] * len(checked)
            numeric = central_differences(arrays, lambda value=value: float(value()._data), eps)  # type: ignore[misc]
            for index, gradient in enumerate(gradients):
                difference = numeric[str(index)]
                ours = np.zeros_like(difference) if gradient is None else gradient._data
                if not np.allclose(ours, difference, rtol, atol):
                    if not raise_exception:
                        return False
                    raise GradcheckError(
                        f"gradients of element {element} of result {place} with respect to input {index} do not agree:"
                        f"\nnumerical: {difference}\nanalytical: {ours}"
                    )
    return True


def _outputs(func: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Any]:
    found = func(*inputs)
    several = [found] if isinstance(found, NumPyTensor) else list(found)
    return [output for output in several if isinstance(output, NumPyTensor) and output._data.dtype.kind == "f"]


__getattr__ = missing(__name__, {"gradgradcheck": "there are no second derivatives"})
