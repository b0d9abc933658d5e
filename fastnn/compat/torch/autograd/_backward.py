"""Going back from several results at once: `torch.autograd.grad` and `torch.autograd.backward`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.tape import go_back
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import array_from, new, refuse_create_graph

__all__ = ["backward", "grad"]


def _several(value: Any) -> list[Any]:
    return [value] if isinstance(value, NumPyTensor) else list(value)


def _seeds(outputs: Sequence[Any], gradients: Any) -> list[tuple[Any, NDArray]]:
    """Results and the gradients with respect to them: ones, where a single number has none given."""
    given = [None] * len(outputs) if gradients is None else _several(gradients)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    seeds = []
    for index, (output, gradient) in enumerate(zip(outputs, given, strict=True)):
        if not output._requires_grad:
            raise RuntimeError(f"element {index} of tensors does not require grad and does not have a grad_fn")
        shape, dtype = output._data.shape, output._data.dtype
        if gradient is None:
            if output._data.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            seeds.append((output, np.ones(shape, dtype)))
            continue
        array = array_from(gradient)
        if array.shape != shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {tuple(array.shape)} and output[{index}] has "
                f"a shape of {tuple(shape)}."
            )
        seeds.append((output, array.astype(dtype, copy=False)))
    return seeds


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of the sum of `outputs` with respect to `inputs`, as a tuple; no `grad` is changed.

    Args:
        outputs: a tensor or several.
        inputs: a tensor, several, or a dict of them; leaves, or results on the way.
        grad_outputs: the gradient with respect to each output; a single number needs none.
        retain_graph: keep what was recorded for another backward.
        create_graph: must be False, for there are no second derivatives.
        allow_unused: None for an input that no output depends on, instead of an error.
        materialize_grads: zeros for such an input.
    """
    refuse_create_graph("torch.autograd.grad", create_graph)
    if is_grads_batched:
        raise RuntimeError("torch.autograd.grad: is_grads_batched=True is not there: call grad once for each gradient")
    if not only_inputs:
        raise RuntimeError("torch.autograd.grad: only_inputs=False is no longer in PyTorch: call backward()")
    wanted = list(inputs.values()) if isinstance(inputs, dict) else _several(inputs)
    for tensor in wanted:
        if not tensor._requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = go_back(_seeds(_several(outputs), grad_outputs), wanted, bool(retain_graph), others=False)
    if materialize_grads:
        found = [np.zeros_like(t._data) if g is None else g for g, t in zip(found, wanted, strict=True)]
    elif not allow_unused and any(gradient is None for gradient in found):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )
    result = [None if gradient is None else new(gradient) for gradient in found]
    return dict(zip(inputs, result, strict=True)) if isinstance(inputs, dict) else tuple(result)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add to `grad` of every leaf behind `tensors`, or of `inputs`, the gradient of their sum.

    Args:
        tensors: one or several.
        grad_tensors: the gradient with respect to each; a single number needs none.
        retain_graph: keep what was recorded for another backward.
        create_graph: must be False, for there are no second derivatives.
        grad_variables: the older name of grad_tensors.
        inputs: the tensors that get gradients; None for all leaves.
    """
    refuse_create_graph("torch.autograd.backward", create_graph)
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError("torch.autograd.backward: give grad_tensors or grad_variables, not both")
        grad_tensors = grad_variables
    seeds = _seeds(_several(tensors), grad_tensors)
    if inputs is None:
        go_back(seeds, retain_graph=bool(retain_graph))
        return
    wanted = _several(inputs)
    if not wanted:
        raise RuntimeError("torch.autograd.backward: inputs cannot be empty")
    found = go_back(seeds, wanted, bool(retain_graph), others=False)
    for tensor, gradient in zip(wanted, found, strict=True):
        if gradient is not None:
            NumPyTensor.accumulate(tensor, gradient, fresh=True)
