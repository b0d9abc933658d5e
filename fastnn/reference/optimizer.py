"""One step of each optimiser; parameters and states are changed in place."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "average_step",
    "lion_step",
    "nadam_step",
    "newton_schulz",
    "rmsprop_step",
    "sgd_step",
    "sum_of_squares",
]


def sgd_step(
    parameter: NDArray,
    gradient: NDArray,
    momentum_buffer: NDArray | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """d = gradient + weight_decay w;  u = momentum u + (1 - dampening) d;  w -= lr u, nesterov: lr (d + momentum u)"""
    d = (-gradient if maximize else gradient) + weight_decay * parameter
    if momentum_buffer is not None:
        momentum_buffer[...] = momentum * momentum_buffer + (1 - dampening) * d
        d = d + momentum * momentum_buffer if nesterov else momentum_buffer
    parameter -= lr * d


def adam_step(
    parameter: NDArray,
    gradient: NDArray,
    exp_avg: NDArray,
    exp_avg_sq: NDArray,
    max_exp_avg_sq: NDArray | None,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_decay: float,
    maximize: bool,
) -> None:
    """m, v: running means of d and d^2;  w -= lr m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)"""
    beta1, beta2 = betas
    parameter *= 1 - lr * decoupled_decay
    d = (-gradient if maximize else gradient) + weight_decay * parameter
    exp_avg[...] = beta1 * exp_avg + (1 - beta1) * d
    exp_avg_sq[...] = beta2 * exp_avg_sq + (1 - beta2) * d * d
    second = exp_avg_sq
    if max_exp_avg_sq is not None:
        np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
        second = max_exp_avg_sq
    root = np.sqrt(second) / math.sqrt(1 - beta2**step) + eps
    parameter -= lr / (1 - beta1**step) * (exp_avg / root)


def rmsprop_step(
    parameter: NDArray,
    gradient: NDArray,
    square_avg: NDArray,
    momentum_buffer: NDArray | None,
    grad_avg: NDArray | None,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """s: running mean of d^2, a: of d;  r = d / (sqrt(s - a^2) + eps);  u = momentum u + r;  w -= lr u"""
    d = (-gradient if maximize else gradient) + weight_decay * parameter
    square_avg[...] = alpha * square_avg + (1 - alpha) * d * d
    variance = square_avg
    if grad_avg is not None:
        grad_avg[...] = alpha * grad_avg + (1 - alpha) * d
        variance = np.maximum(square_avg - grad_avg * grad_avg, 0)
    d = d / (np.sqrt(variance) + eps)
    if momentum_buffer is not None:
        momentum_buffer[...] = momentum * momentum_buffer + d
        d = momentum_buffer
    parameter -= lr * d


def adagrad_step(
    parameter: NDArray,
    gradient: NDArray,
    total: NDArray,
    lr: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """total += d^2;  w -= lr d / (sqrt(total) + eps)"""
    d = (-gradient if maximize else gradient) + weight_decay * parameter
    total += d * d
    parameter -= lr * (d / (np.sqrt(total) + eps))


def adadelta_step(
    parameter: NDArray,
    gradient: NDArray,
    square_avg: NDArray,
    acc_delta: NDArray,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """s, a: running means of d^2 and delta^2;  delta = sqrt(a + eps) / sqrt(s + eps) d;  w -= lr delta"""
    d = (-gradient if maximize else gradient) + weight_decay * parameter
    square_avg[...] = rho * square_avg + (1 - rho) * d * d
    delta = np.sqrt(acc_delta + eps) / np.sqrt(square_avg + eps) * d
    acc_delta[...] = rho * acc_delta + (1 - rho) * delta * delta
    parameter -= lr * delta


def nadam_step(
    parameter: NDArray,
    gradient: NDArray,
    exp_avg: NDArray,
    exp_avg_sq: NDArray,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_decay: float,
    step: int,
    mu: float,
    mu_next: float,
    mu_product: float,
    maximize: bool,
) -> None:
    """m, v: running means of d and d^2;  p = mu_product, of all mu up to this one

    w -= lr ((1 - mu) / (1 - p) d + mu_next / (1 - p mu_next) m) / (sqrt(v / (1 - beta2^step)) + eps)
    """
    beta1, beta2 = betas
    parameter *= 1 - lr * decoupled_decay
    d = (-gradient if maximize else gradient) + weight_decay * parameter
    exp_avg[...] = beta1 * exp_avg + (1 - beta1) * d
    exp_avg_sq[...] = beta2 * exp_avg_sq + (1 - beta2) * d * d
    root = np.sqrt(exp_avg_sq / (1 - beta2**step)) + eps
    ahead = (1 - mu) / (1 - mu_product) * d + mu_next / (1 - mu_product * mu_next) * exp_avg
    parameter -= lr * (ahead / root)


def lion_step(
    parameter: NDArray,
    gradient: NDArray,
    exp_avg: NDArray,
    lr: float,
    betas: tuple[float, float],
    decoupled_decay: float,
    maximize: bool,
) -> None:
    """w = (1 - lr decay) w - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g"""
    beta1, beta2 = betas
    g = -gradient if maximize else gradient
    parameter *= 1 - lr * decoupled_decay
    parameter -= lr * np.sign(beta1 * exp_avg + (1 - beta1) * g)
    exp_avg[...] = beta2 * exp_avg + (1 - beta2) * g


def average_step(average: NDArray, value: NDArray, decay: float) -> None:
    """average = decay * average + (1 - decay) * value"""
    average += (1 - decay) * (value - average)


def sum_of_squares(x: NDArray) -> float:
    """The sum of x^2, in double."""
    return float(np.sum(np.square(x, dtype=np.float64)))


def newton_schulz(matrix: NDArray, steps: int, coefficients: tuple[float, float, float], eps: float) -> NDArray:
    """X = matrix / |matrix|;  steps times: X = a X + b (X X') X + c (X X')^2 X"""
    a, b, c = coefficients
    x = matrix / (max(math.hypot(*matrix.astype(np.float64).flat), eps) or 1.0)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x
