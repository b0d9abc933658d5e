"""What a student who solves docs/courses/notebooks/fudan.md writes into it."""

import numpy as np


def conv2d(x, weight, bias, stride=1, padding=0):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kernel_h, kernel_w = weight.shape[2:]
    h_out = (padded.shape[2] - kernel_h) // stride + 1
    w_out = (padded.shape[3] - kernel_w) // stride + 1
    y = np.empty((len(x), len(weight), h_out, w_out), x.dtype)
    for i in range(h_out):
        for j in range(w_out):
            window = padded[:, :, i * stride : i * stride + kernel_h, j * stride : j * stride + kernel_w]
            y[:, :, i, j] = np.tensordot(window, weight, ([1, 2, 3], [1, 2, 3])) + bias
    return y


def conv2d_backward(dy, x, weight, stride=1, padding=0):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dpadded, dweight = np.zeros_like(padded), np.zeros_like(weight)
    kernel_h, kernel_w = weight.shape[2:]
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows = slice(i * stride, i * stride + kernel_h)
            columns = slice(j * stride, j * stride + kernel_w)
            dweight += np.tensordot(dy[:, :, i, j], padded[:, :, rows, columns], [[0], [0]])
            dpadded[:, :, rows, columns] += np.tensordot(dy[:, :, i, j], weight, [[1], [0]])
    dx = dpadded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dweight, dy.sum(axis=(0, 2, 3))


def max_pool2d(x, kernel_size, stride):
    h_out = (x.shape[2] - kernel_size) // stride + 1
    w_out = (x.shape[3] - kernel_size) // stride + 1
    y = np.empty((*x.shape[:2], h_out, w_out), x.dtype)
    for i in range(h_out):
        for j in range(w_out):
            window = x[:, :, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
            y[:, :, i, j] = window.max(axis=(2, 3))
    return y


def max_pool2d_backward(dy, x, kernel_size, stride):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        window = x[n, c, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
        row, column = divmod(int(window.argmax()), window.shape[1])
        dx[n, c, i * stride + row, j * stride + column] += dy[n, c, i, j]
    return dx


def linear(x, weight, bias):
    return x @ weight.T + bias


def linear_backward(dy, x, weight):
    return dy @ weight, dy.T @ x, dy.sum(axis=0)


def relu(x):
    return np.maximum(x, 0)


def relu_backward(dy, y):
    return dy * (y > 0)


def cross_entropy(scores, labels):
    n = len(scores)
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dscores = np.exp(log_p)
    dscores[np.arange(n), labels] -= 1
    return -log_p[np.arange(n), labels].mean(), dscores / n
