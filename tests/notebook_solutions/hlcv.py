"""What a student who solves docs/courses/notebooks/hlcv.md writes into it."""

import numpy as np


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def scores_of(params, x):
    return np.maximum(x @ params["W1"] + params["b1"], 0) @ params["W2"] + params["b2"]


def loss_and_gradient(params, x, y, reg=0.0):
    n, rows = len(x), np.arange(len(x))
    hidden = np.maximum(x @ params["W1"] + params["b1"], 0)
    scores = hidden @ params["W2"] + params["b2"]
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_p[rows, y].mean() + reg * ((params["W1"] ** 2).sum() + (params["W2"] ** 2).sum())
    dscores = np.exp(log_p)
    dscores[rows, y] -= 1
    dscores /= n
    dhidden = dscores @ params["W2"].T * (hidden > 0)
    return loss, {
        "W1": x.T @ dhidden + 2 * reg * params["W1"],
        "b1": dhidden.sum(axis=0),
        "W2": hidden.T @ dscores + 2 * reg * params["W2"],
        "b2": dscores.sum(axis=0),
    }


def numeric_gradient(f, x, h=1e-5):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        above = f(x)
        x[i] = old - h
        below = f(x)
        x[i] = old
        gradient[i] = (above - below) / (2 * h)
    return gradient
