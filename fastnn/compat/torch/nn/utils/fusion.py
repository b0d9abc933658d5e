"""Batch normalisation as a part of the layer before it, when its statistics no longer change."""

import copy
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

__getattr__ = missing(__name__)


def _checked(layer: Any, bn: Any) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    return copy.deepcopy(layer)


def _fused(weight: Any, bias: Any, norm: tuple[Any, Any, float, Any, Any], shape: tuple[int, ...]) -> Any:
    mean, var, eps, scale, shift = norm
    mean, var = mean._data, var._data
    factor = (1 if scale is None else scale._data) / np.sqrt(var + eps)
    before = 0 if bias is None else bias._data
    after = (before - mean) * factor + (0 if shift is None else shift._data)
    dtype = weight._data.dtype
    arrays = (weight._data * np.reshape(factor, shape)).astype(dtype), np.asarray(after, dtype)
    trained = weight._requires_grad, bias is None or bias._requires_grad
    return tuple(Parameter(new(array), is_trained) for array, is_trained in zip(arrays, trained, strict=True))


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what this one does, and the batch normalisation after it"""
    fused = _checked(conv, bn)
    norm = bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    fused.weight, fused.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *norm, transpose)
    return fused


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any, transpose: bool = False
) -> tuple[Parameter, Parameter]:
    """Weight and bias of such a convolution"""
    taps = (1,) * (conv_w._data.ndim - 2)
    return _fused(conv_w, conv_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), (1, -1, *taps) if transpose else (-1, 1, *taps))


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that does what this one does, and the batch normalisation after it"""
    fused = _checked(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    norm = bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    fused.weight, fused.bias = fuse_linear_bn_weights(linear.weight, linear.bias, *norm)
    return fused


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """Weight and bias of such a linear layer"""
    return _fused(linear_w, linear_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), (-1, 1))
