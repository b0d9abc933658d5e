"""torch.autograd.functional: derivatives of functions of tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new, refuse_create_graph
from fastnn.compat.torch.autograd._backward import grad
from fastnn.compat.torch.autograd.grad_mode import enable_grad

__all__ = ["jacobian", "vjp"]


def _leaves(inputs: Any) -> tuple[bool, list[Any]]:
    is_one = isinstance(inputs, NumPyTensor)
    return is_one, [new(x._data).requires_grad_() for x in ((inputs,) if is_one else inputs)]


def _run(func: Callable[..., Any], leaves: list[Any]) -> tuple[bool, list[Any]]:
    with enable_grad():
        found = func(*leaves)
    is_one = isinstance(found, NumPyTensor)
    return is_one, [found] if is_one else list(found)


def _gradients(y: Any, leaves: list[Any], dy: Any) -> list[Any]:
    if not y._requires_grad:
        return [new(np.zeros_like(leaf._data)) for leaf in leaves]
    return list(grad(y, leaves, new(dy), retain_graph=True, materialize_grads=True))


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of each element of func(*inputs) by each of `inputs`, of the shape of the result and the input.

    One tensor for one result and one input; a tuple for each of several results, of several inputs.
    """
    refuse_create_graph("jacobian", create_graph)
    one_input, leaves = _leaves(inputs)
    one_output, outputs = _run(func, leaves)
    result = []
    for y in outputs:
        rows: list[list[Any]] = []
        for element in range(y._data.size):
            dy = np.zeros_like(y._data, order="C")
            dy.reshape(-1)[element] = 1
            rows.append([gradient._data for gradient in _gradients(y, leaves, dy)])
        blocks = [
            new(np.array([row[i] for row in rows], leaf._data.dtype).reshape(y._data.shape + leaf._data.shape))
            for i, leaf in enumerate(leaves)
        ]
        result.append(blocks[0] if one_input else tuple(blocks))
    return result[0] if one_output else tuple(result)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """func(*inputs), and the gradients of the inputs where that of the result is `v`, which has its shape."""
    refuse_create_graph("vjp", create_graph)
    one_input, leaves = _leaves(inputs)
    one_output, outputs = _run(func, leaves)
    if v is None and (len(outputs) != 1 or outputs[0]._data.size != 1):
        raise RuntimeError("The vector v can only be None if the user-provided function returns a single number")
    given = [new(np.ones_like(outputs[0]._data))] if v is None else [v] if one_output else list(v)
    sums: list[Any] = [np.zeros_like(leaf._data) for leaf in leaves]
    for y, dy in zip(outputs, given, strict=True):
        sums = [total + part._data for total, part in zip(sums, _gradients(y, leaves, dy._data), strict=True)]
    values = [y.detach() for y in outputs]
    gradients = [new(np.asarray(total)) for total in sums]
    return values[0] if one_output else tuple(values), gradients[0] if one_input else tuple(gradients)


_NO_SECOND = "there are no second derivatives: take differences of torch.autograd.functional.vjp"
__getattr__ = missing(
    __name__,
    {
        "hessian": _NO_SECOND,
        "hvp": _NO_SECOND,
        "vhp": _NO_SECOND,
        "jvp": "gradients go backwards only: use torch.autograd.functional.jacobian, or vjp",
    },
)
