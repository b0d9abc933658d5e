"""Activations and softmax."""

from __future__ import annotations

import math
from typing import Any

from fastnn.interop._onnx.elementwise import log1p
from fastnn.interop._onnx.program import Call
from fastnn.interop._onnx.registry import converts

__all__ = ["activated"]


def activated(call: Call, name: str | None, x: Any) -> Any:
    """An activation without parameters, by its name, of what has the name x in the graph."""
    if name is None:
        return x
    if name == "relu":
        return call.add("Relu", x)
    if name == "relu6":
        return call.add("Clip", x, call.number(0), call.number(6))
    if name == "silu":
        return call.add("Mul", x, call.add("Sigmoid", x))
    if name in ("gelu", "gelu_tanh"):
        return _gelu(call, x, name == "gelu_tanh")
    raise call.fail(f"the activation {name!r} has no form in ONNX here")


def _parameters(call: Call) -> tuple[float, ...]:
    return call.same(lambda op: op.parameters, "a parameter")


@converts("activation.relu", "activation.silu", "activation.gelu", "activation.gelu_tanh")
def _plain(call: Call) -> Any:
    return activated(call, call.op.name, call.inputs[0])


@converts("activation.sigmoid")
def _sigmoid(call: Call) -> Any:
    return call.add("Sigmoid", call.inputs[0])


@converts("activation.tanh")
def _tanh(call: Call) -> Any:
    return call.add("Tanh", call.inputs[0])


@converts("activation.leaky_relu")
def _leaky_relu(call: Call) -> Any:
    (slope,) = _parameters(call)
    return call.add("LeakyRelu", call.inputs[0], alpha=float(slope))


@converts("activation.elu")
def _elu(call: Call) -> Any:
    (alpha,) = _parameters(call)
    return call.add("Elu", call.inputs[0], alpha=float(alpha))


def _gelu(call: Call, x: Any, is_approximate: bool) -> Any:
    """x * P(z < x), by the error function or by tanh."""
    half, one = call.number(0.5), call.number(1)
    if is_approximate:
        cube = call.add("Mul", call.add("Mul", x, x), x)
        inner = call.add("Add", x, call.add("Mul", cube, call.number(0.044715)))
        share = call.add("Tanh", call.add("Mul", inner, call.number(math.sqrt(2 / math.pi))))
    else:
        share = call.add("Erf", call.add("Mul", x, call.number(math.sqrt(0.5))))
    return call.add("Mul", call.add("Mul", x, half), call.add("Add", share, one))


@converts("activation.softplus")
def _softplus(call: Call) -> Any:
    """max(a, 0) + log(1 + exp(-|a|)) with a = beta x, divided by beta; x itself above the threshold."""
    beta, threshold = _parameters(call)
    x = call.inputs[0]
    a = call.add("Mul", x, call.number(beta))
    rest = log1p(call, call.add("Exp", call.add("Neg", call.add("Abs", a))))
    soft = call.add("Div", call.add("Add", call.add("Relu", a), rest), call.number(beta))
    return call.add("Where", call.add("Greater", a, call.number(threshold)), x, soft)


@converts("activation.PReLU")
def _prelu(call: Call) -> Any:
    x, weight = call.given(0), call.given(1)
    slope = weight if weight.dims == (1,) or x.ndim < 2 else call.reshape(weight, (-1, *(1,) * (x.ndim - 2)))
    return call.add("PRelu", x, slope)


@converts("mish.Mish")
def _mish(call: Call) -> Any:
    """x tanh(log(1 + exp(x)))"""
    x = call.inputs[0]
    rest = log1p(call, call.add("Exp", call.add("Neg", call.add("Abs", x))))
    return call.add("Mul", x, call.add("Tanh", call.add("Add", call.add("Relu", x), rest)))


@converts("hard_activation.hardtanh")
def _hardtanh(call: Call) -> Any:
    low, high = _parameters(call)
    return call.add("Clip", call.inputs[0], call.number(low), call.number(high))


@converts("hard_activation.hardsigmoid")
def _hardsigmoid(call: Call) -> Any:
    return call.add("HardSigmoid", call.inputs[0], alpha=1 / 6, beta=0.5)


@converts("hard_activation.hardswish")
def _hardswish(call: Call) -> Any:
    return call.add("HardSwish", call.inputs[0])


@converts("softmax.softmax", "softmax.log_softmax")
def _softmax(call: Call) -> Any:
    x, axis = call.given(0), call.same(lambda op: op.dim, "dim")
    if axis is None:  # as PyTorch chooses it
        axis = 0 if x.ndim in (1, 3) else 1
    return call.add("Softmax" if call.op.name == "softmax" else "LogSoftmax", x, axis=axis)
