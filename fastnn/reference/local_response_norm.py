"""Local response normalisation: each value over a power of the mean square of its neighbours in other channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["local_response_norm", "local_response_norm_backward"]


def _window_sum(values: NDArray, before: int, after: int) -> NDArray:
    """out[:, c] = sum of values[:, c - before .. c + after], zeros outside"""
    before, after = min(before, values.shape[1]), min(after, values.shape[1])  # there are no more
    padded = np.pad(values, ((0, 0), (before, after), (0, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1, axis=1)
    return windows.sum(axis=-1)


def _scale(x: NDArray, size: int, alpha: float, k: float) -> NDArray:
    return k + alpha / size * _window_sum(x * x, size // 2, (size - 1) // 2)


def local_response_norm(x: NDArray, size: int, alpha: float, beta: float, k: float) -> NDArray:
    """y[:, c] = x[:, c] * scale[:, c]^-beta, scale[:, c] = k + alpha / size * sum of x^2 over the window of c"""
    return x * _scale(x, size, alpha, k) ** -beta


def local_response_norm_backward(dy: NDArray, x: NDArray, size: int, alpha: float, beta: float, k: float) -> NDArray:
    """dx[c] = dy[c] scale[c]^-beta - 2 alpha beta / size x[c] * sum of (dy x scale^(-beta - 1))[c'] over the c' whose
    window holds c: the window mirrored."""
    scale = _scale(x, size, alpha, k)
    through_scale = _window_sum(dy * x * scale ** (-beta - 1), (size - 1) // 2, size // 2)
    return dy * scale**-beta - 2 * alpha * beta / size * x * through_scale
