"""What a student who solves docs/courses/notebooks/itu.md writes into it."""

import numpy as np


def l2_penalty(weight, reg):
    return reg * (weight**2).sum(), 2 * reg * weight


def nn_forward_pass(params, x):
    hidden = x @ params["W1"] + params["b1"]
    hidden[hidden < 0] = 0
    return hidden @ params["W2"] + params["b2"]


def nn_forward_backward(params, x, y, reg=0.0):
    n = x.shape[0]
    hidden = np.maximum(x @ params["W1"] + params["b1"], 0)
    scores = hidden @ params["W2"] + params["b2"]
    top = scores.max(axis=1, keepdims=True)
    log_sum = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    loss = (log_sum[:, 0] - scores[np.arange(n), y]).mean()
    loss += reg * (np.sum(params["W1"] ** 2) + np.sum(params["W2"] ** 2))
    dscores = (np.exp(scores - log_sum) - np.eye(scores.shape[1])[y]) / n
    dhidden = np.where(hidden > 0, dscores @ params["W2"].T, 0)
    grads = {
        "W2": hidden.T @ dscores + 2 * reg * params["W2"],
        "b2": dscores.sum(axis=0),
        "W1": x.T @ dhidden + 2 * reg * params["W1"],
        "b1": dhidden.sum(axis=0),
    }
    return loss, grads
