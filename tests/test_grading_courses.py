"""The specs of four courses: right solutions have all points, and the mistakes of published ones are named."""

import re

import pytest

from fastnn import grading

PKU = """
import numpy as np
import cv2
eps = 1e-5
def bn_forward_test(x, gamma, beta, mean, var):
    return gamma * (x - mean) / np.sqrt(var + eps) + beta
def bn_forward_train(x, gamma, beta):
    mean, var = x.mean(axis=0), x.var(axis=0)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta, (gamma, x_hat, var)
def bn_backward(dout, cache):
    gamma, x_hat, var = cache
    g = dout * gamma
    dx = (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)) / np.sqrt(var + eps)
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)
if __name__ == "__main__":
    cv2.imread("mnist_subset/0.png")
"""

HLCV = """
import numpy as np
class TwoLayerNet(object):
    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        self.params = {"W1": std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
                       "W2": std * np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size)}
    def loss(self, X, y=None, reg=0.0):
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden = np.maximum(X @ W1 + b1, 0)
        scores = hidden @ W2 + b2
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        if y is None:
            return np.exp(log_p)
        n = len(X)
        loss = -log_p[np.arange(n), y].mean() + reg * ((W1 ** 2).sum() + (W2 ** 2).sum())
        d = np.exp(log_p)
        d[np.arange(n), y] -= 1
        d /= n
        dh = (d @ W2.T) * (hidden > 0)
        return loss, {"W1": X.T @ dh + 2 * reg * W1, "b1": dh.sum(0), "W2": hidden.T @ d + 2 * reg * W2, "b2": d.sum(0)}
"""

ITU = """
import numpy as np
def nn_forward_pass(params, X):
    hidden = np.maximum(X @ params["W1"] + params["b1"], 0)
    return hidden @ params["W2"] + params["b2"], hidden
def nn_forward_backward(params, X, y=None, reg=0.0):
    W1, W2 = params["W1"], params["W2"]
    scores, hidden = nn_forward_pass(params, X)
    if y is None:
        return scores
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    n = len(X)
    loss = -log_p[np.arange(n), y].mean() + reg * ((W1 ** 2).sum() + (W2 ** 2).sum())
    d = np.exp(log_p)
    d[np.arange(n), y] -= 1
    d /= n
    dh = (d @ W2.T) * (hidden > 0)
    grads = {"W1": X.T @ dh, "b1": dh.sum(0), "W2": hidden.T @ d, "b2": d.sum(0)}
    grads["W1"] += 2 * reg * W1
    grads["W2"] += 2 * reg * W2
    return loss, grads
"""

FUDAN = """
import numpy as np
def conv2d(x, weight, bias, stride=1, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwrs,kcrs->nkhw", windows, weight) + bias[:, None, None]
def conv2d_backward(dy, x, weight, stride=1, padding=0):
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dwide, dweight = np.zeros_like(wide), np.zeros_like(weight)
    h, w = dy.shape[2:]
    for r in range(weight.shape[2]):
        for s in range(weight.shape[3]):
            part = np.s_[:, :, r : r + h * stride : stride, s : s + w * stride : stride]
            dwide[part] += np.einsum("nkhw,kc->nchw", dy, weight[:, :, r, s])
            dweight[:, :, r, s] = np.einsum("nkhw,nchw->kc", dy, wide[part])
    end = lambda size: padding + size
    dx = dwide[:, :, padding : end(x.shape[2]), padding : end(x.shape[3])]
    return dx, dweight, dy.sum(axis=(0, 2, 3))
def batch_norm(x, weight, bias, eps=1e-5):
    return weight * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias
def batch_norm_eval(x, weight, bias, running_mean, running_var, eps=1e-5):
    return weight * (x - running_mean) / np.sqrt(running_var + eps) + bias
def batch_norm_backward(dy, x, weight, eps=1e-5):
    std = np.sqrt(x.var(0) + eps)
    x_hat, g = (x - x.mean(0)) / std, dy * weight
    return (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) / std, (dy * x_hat).sum(0), dy.sum(0)
def _pair(value):
    return value if isinstance(value, tuple) else (value, value)
def max_pool2d(x, kernel_size, stride, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    a, b = _pair(stride)
    return np.lib.stride_tricks.sliding_window_view(x, _pair(kernel_size), (2, 3))[:, :, ::a, ::b].max(axis=(4, 5))
def max_pool2d_backward(dy, x, kernel_size, stride, padding=0):
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    dx = np.zeros(wide.shape, dy.dtype)
    (r, s), (a, b) = _pair(kernel_size), _pair(stride)
    for n, c, i, j in np.ndindex(dy.shape):
        window = wide[n, c, i * a : i * a + r, j * b : j * b + s]
        p, q = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, i * a + p, j * b + q] += dy[n, c, i, j]
    return dx[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
def linear(x, weight, bias):
    return x @ weight.T + bias
def linear_backward(dy, x, weight):
    return dy @ weight, dy.T @ x, dy.sum(0)
def relu(x):
    return np.maximum(x, 0)
def relu_backward(dy, y):
    return dy * (y > 0)
def cross_entropy(scores, labels):
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(scores)), labels
    d = np.exp(log_p)
    d[rows] -= 1
    return -log_p[rows].mean(), d / len(scores)
def adam_step(parameter, gradient, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    return parameter - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v
"""

RIGHT = {"pku": PKU, "hlcv": HLCV, "itu": ITU, "fudan": FUDAN}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_solution_has_all_points(tmp_path, name):
    path = tmp_path / "solution.py"
    path.write_text(RIGHT[name])
    result = grading.grade(path, name)
    assert result.passed, str(result)
    assert result.points == result.max_points > 0


LAYER = """
import numpy as np
class Layer:
    def __init__(self): self.grads = {}
class Linear(Layer):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.W, self.b = np.random.randn(n_in, n_out), np.zeros(n_out)
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, grad):
        self.grads["W"], self.grads["b"] = self.x.T @ grad, grad.sum(0)
        return grad @ self.W.T
"""
LAYER_SPEC = """
title = "Layers"
[[task]]
name = "Linear"
operation = "linear"
[task.functions.forward]
class = "Linear"
method = "forward"
arguments = ["x", "w", "b"]
new = ["w.0", "w.1"]
set = { W = "w", b = "b" }
returns = ["result", "self"]
[task.functions.backward]
class = "Linear"
method = "backward"
arguments = ["dout", "cache"]
returns = ["result", "grads.W", "grads.b"]
"""


def test_classes_with_forward_and_backward_are_graded(tmp_path):
    (tmp_path / "spec.toml").write_text(LAYER_SPEC)
    path = tmp_path / "layers.py"
    path.write_text(LAYER)
    result = grading.grade(path, tmp_path / "spec.toml")
    assert (result.passed, result.points) == (True, 10), str(result)
    path.write_text(LAYER.replace("grad.sum(0)", "grad.mean(0)"))
    result = grading.grade(path, tmp_path / "spec.toml")
    assert result.points == 5
    (text,) = result.reports[0].mistakes
    assert "db" in text or "dbias" in text
    path.write_text(LAYER.replace("def backward", "def backwards"))
    assert "there is no function Linear.backward" in str(grading.grade(path, tmp_path / "spec.toml"))
    path.write_text(LAYER.replace('self.grads["W"],', "self.dW,"))
    assert "grads has no item 'W'" in str(grading.grade(path, tmp_path / "spec.toml"))


# The mistakes of published solutions: what was written instead, and words of the sentence that names it.
QUICK = [
    ("itu", "+= 2 * reg", "+= reg", "factor 2"),
    ("hlcv", "+ 2 * reg", "+ reg", "factor 2"),
    ("hlcv", ".mean() + reg", ".sum() + reg", "not divided by the batch size"),
    ("fudan", "dx[n, c, i * a + p, j * b + q] +=", "dx[n, c, i * a + p, j * b + q] =", "added"),
    ("fudan", "np.sqrt(v / (1 - beta2**t)) + eps", "np.sqrt(v) + eps", "no bias correction of v"),
]
_DX = "(g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)) / np"
OF_PKU = [
    ("pku", "- g.mean(axis=0) ", "", "mean"),
    ("pku", " - x_hat * (g * x_hat).mean(axis=0)", "", "variance"),
    ("pku", _DX, "g / np", "mean"),
    ("pku", _DX, "g * np", "multiplied"),  # and both terms are missing
    ("pku", "x.var(axis=0)\n", "x.var(axis=0, ddof=1)\n", "unbiased"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "words"), [*QUICK, *OF_PKU])
def test_a_published_mistake_is_named(tmp_path, name, right, wrong, words):
    assert right in RIGHT[name]
    path = tmp_path / "solution.py"
    path.write_text(RIGHT[name].replace(right, wrong))
    result = grading.grade(path, name)
    assert result.points < result.max_points
    mistakes = [text for report in result.reports for text in report.mistakes]
    assert any(re.search(words, text) for text in mistakes), mistakes
    assert not any("no known mistake" in text for text in mistakes), mistakes
