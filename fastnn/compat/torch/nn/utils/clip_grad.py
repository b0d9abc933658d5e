"""Gradients of limited size: fastnn's functions, for whatever tensors have gradients."""

import math
import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn.parameter import Parameter
from fastnn.optim import gradients

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

__getattr__ = missing(__name__)

Tensors = Tensor | Iterable[Tensor]


def _with_gradient(parameters: Tensors) -> list[Tensor]:
    if isinstance(parameters, Tensor):
        return [parameters] if parameters._grad is not None else []
    several = list(parameters)
    if not several and isinstance(parameters, GeneratorType):
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3)
    return [parameter for parameter in several if parameter._grad is not None]


def _holders(arrays: Iterable[Any]) -> list[Parameter]:
    """Parameters with these gradients: fastnn's functions take no results that keep theirs."""
    made = []
    for array in arrays:
        holder: Any = new(array, Parameter)
        holder._grad = array
        made.append(holder)
    return made


def _total(holders: list[Parameter], norm_type: float, error_if_nonfinite: bool) -> float:
    total = gradients.clip_grad_norm_(holders, math.inf, float(norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot "
            "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def _as_tensor(total: float, arrays: list[Any]) -> Tensor:
    with np.errstate(over="ignore", under="ignore"):
        return new(np.asarray(total, arrays[0].dtype if arrays else np.float32))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients, in place and by one factor, so that their norm is at most `max_norm`; give that before"""
    found = _with_gradient(parameters)
    arrays = [parameter._grad for parameter in found]
    holders = _holders(arrays)
    if error_if_nonfinite:
        _total(holders, norm_type, True)
    total = gradients.clip_grad_norm_(holders, float(max_norm), float(norm_type))
    for parameter, holder in zip(found, holders, strict=True):  # one that was read-only has become another
        parameter._grad = holder._grad
    return _as_tensor(total, arrays)


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """`clip_grad_norm_`, by its old name"""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Cut every element of the gradients, in place, to [-clip_value, clip_value]"""
    found = _with_gradient(parameters)
    holders = _holders(parameter._grad for parameter in found)
    gradients.clip_grad_value_(holders, float(clip_value))
    for parameter, holder in zip(found, holders, strict=True):
        parameter._grad = holder._grad


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of these tensors as one vector"""
    several = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    arrays = [tensor._data for tensor in several]
    return _as_tensor(_total(_holders(arrays), norm_type, error_if_nonfinite), arrays)


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients, in place, as `clip_grad_norm_` does when this is their norm"""
    factor = float(max_norm) / (float(total_norm) + 1e-6)
    if not factor >= 1:  # NaN reaches all gradients
        for parameter in _with_gradient(parameters):
            gradient = parameter._grad
            parameter._grad = np.multiply(gradient, factor, out=gradient if gradient.flags.writeable else None)
