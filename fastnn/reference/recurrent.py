"""Recurrent layers, step by step: what they compute, in operations that the tape can go back through."""

from typing import Any

import numpy as np

__all__ = ["gru", "lstm", "rnn"]


def lstm(
    x: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, reverse: bool
) -> tuple[Any, Any, Any]:
    """i, f, g, o = the quarters of W_ih x + b_ih + W_hh h + b_hh, through sigmoid, sigmoid, tanh and sigmoid

    c = f * c + i * g
    h = o * tanh(c)
    """
    results = []
    for step in _steps(x, reverse):
        i, f, g, o = np.split(_affine(step, weight_ih, bias_ih) + _affine(h, weight_hh, bias_hh), 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        results.append(h)
    return _in_order(results, reverse), h, c


def gru(x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, reverse: bool) -> tuple[Any, Any]:
    """With the thirds of W_ih x + b_ih, and those of W_hh h + b_hh:

    r = sigmoid(first + first),  z = sigmoid(second + second),  n = tanh(third + r * third)
    h = (1 - z) * n + z * h
    """
    results = []
    for step in _steps(x, reverse):
        of_x = np.split(_affine(step, weight_ih, bias_ih), 3, axis=1)
        of_h = np.split(_affine(h, weight_hh, bias_hh), 3, axis=1)
        r, z = _sigmoid(of_x[0] + of_h[0]), _sigmoid(of_x[1] + of_h[1])
        h = (1 - z) * np.tanh(of_x[2] + r * of_h[2]) + z * h
        results.append(h)
    return _in_order(results, reverse), h


def rnn(
    x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, nonlinearity: str, reverse: bool
) -> tuple[Any, Any]:
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh), or max(..., 0)"""
    results = []
    for step in _steps(x, reverse):
        h = _affine(step, weight_ih, bias_ih) + _affine(h, weight_hh, bias_hh)
        h = np.tanh(h) if nonlinearity == "tanh" else np.where(h <= 0, 0, h)
        results.append(h)
    return _in_order(results, reverse), h


def _steps(x: Any, reverse: bool) -> list[Any]:
    steps = list(x)
    return steps[::-1] if reverse else steps


def _in_order(results: list[Any], reverse: bool) -> Any:
    return np.stack(results[::-1] if reverse else results)


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    y = np.matmul(x, weight.T)
    return y if bias is None else y + bias


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), by a formula that neither overflows nor has a kink for the tape"""
    return (1 + np.tanh(x / 2)) / 2
