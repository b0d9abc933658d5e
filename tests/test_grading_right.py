"""Right functions pass, in the styles of PyTorch and of cs231n, and written in different ways."""

import numpy as np
import pytest

from fastnn import grading


# ---- plain functions, as in PyTorch ----------------------------------------------------------------------------------
def linear(x, weight, bias):
    return np.einsum("ni,oi->no", x, weight) + bias


def linear_backward(dy, x, weight):
    return dy.dot(weight), np.einsum("no,ni->oi", dy, x), np.ones(len(dy)) @ dy


def relu(x):
    return x * (x > 0)


def relu_backward(dy, x):
    return np.where(x >= 0, dy, 0.0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))  # overflows to the right result


def sigmoid_backward(dy, y):
    return dy * (y - y**2)


def softmax(x):
    z = x - np.max(x, axis=1)[:, None]
    return np.exp(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def softmax_backward(dy, y):
    jacobians = [np.diag(row) - np.outer(row, row) for row in y]
    return np.stack([g @ j for g, j in zip(dy, jacobians, strict=True)])


def loss_and_gradient(scores, labels):
    n = scores.shape[0]
    z = scores - scores.max(axis=1, keepdims=True)
    total = np.exp(z).sum(axis=1)
    loss = np.sum(np.log(total) - z[range(n), labels]) / n
    d = np.exp(z) / total[:, None]
    d[range(n), labels] -= 1
    return loss, d / n


def batch_norm(x, weight, bias, eps=1e-5):
    variance = (x**2).mean(axis=0) - x.mean(axis=0) ** 2
    return (x - x.mean(axis=0)) * (variance + eps) ** -0.5 * weight + bias


def batch_norm_backward(dy, x, weight, eps=1e-5):
    n, mean = len(x), x.mean(0)
    deviation = x - mean
    variance = x.var(0)
    invstd = (variance + eps) ** -0.5
    dx_hat = dy * weight
    dvar = np.sum(dx_hat * deviation * -0.5 * (variance + eps) ** -1.5, 0)
    dmean = np.sum(-dx_hat * invstd, 0) + dvar * np.mean(-2 * deviation, 0)
    dx = dx_hat * invstd + dvar * 2 * deviation / n + dmean / n
    return dx, np.sum(dy * deviation * invstd, 0), np.sum(dy, 0)


def batch_norm_inference(x, weight, bias, running_mean, running_var, eps=1e-5):
    scale = weight / np.sqrt(running_var + eps)
    return x * scale + (bias - running_mean * scale)


def running(x, running_mean, running_var, momentum=0.1):
    return (
        running_mean + momentum * (x.mean(0) - running_mean),
        running_var + momentum * (x.var(0, ddof=1) - running_var),
    )


def layer_norm(x, weight, bias, eps=1e-5):
    return ((x.T - x.mean(1)) / np.sqrt(x.var(1) + eps)).T * weight + bias


def layer_norm_backward(dy, x, weight, eps=1e-5):
    d = x.shape[1]
    invstd = 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    x_hat = (x - x.mean(1, keepdims=True)) * invstd
    g = dy * weight
    dx = invstd / d * (d * g - g.sum(1, keepdims=True) - x_hat * (g * x_hat).sum(1, keepdims=True))
    return dx, (dy * x_hat).sum(0), dy.sum(0)


def conv2d(x, weight, bias, stride=1, padding=0):
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(xp, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncijpq,kcpq->nkij", windows, weight) + bias[None, :, None, None]


def conv2d_backward(dy, x, weight, stride=1, padding=0):
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(weight)
    _, _, r, s = weight.shape
    for n in range(len(x)):
        for k in range(len(weight)):
            for i in range(dy.shape[2]):
                for j in range(dy.shape[3]):
                    place = (n, slice(None), slice(i * stride, i * stride + r), slice(j * stride, j * stride + s))
                    dw[k] += dy[n, k, i, j] * xp[place]
                    dxp[place] += dy[n, k, i, j] * weight[k]
    dx = dxp[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, dy.sum((0, 2, 3))


def _size(kernel_size):
    return kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)


def max_pool2d(x, kernel_size, stride, padding=0):
    xp = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(xp, _size(kernel_size), (2, 3))
    return windows[:, :, ::stride, ::stride].max((4, 5))


def max_pool2d_backward(dy, x, kernel_size, stride, padding=0):
    r, s = _size(kernel_size)
    xp = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=-np.inf)
    dx = np.zeros_like(xp)
    for n, c, i, j in np.ndindex(*dy.shape):
        window = xp[n, c, i * stride : i * stride + r, j * stride : j * stride + s]
        a, b = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, i * stride + a, j * stride + b] += dy[n, c, i, j]
    return dx[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def avg_pool2d(x, kernel_size, stride, padding=0):
    xp = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(xp, _size(kernel_size), (2, 3))
    return windows[:, :, ::stride, ::stride].mean((4, 5))


def avg_pool2d_backward(dy, x, kernel_size, stride, padding=0):
    r, s = _size(kernel_size)
    dx = np.zeros(np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2)).shape)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, i * stride : i * stride + r, j * stride : j * stride + s] += dy[:, :, i, j, None, None] / (r * s)
    return dx[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def dropout(x, p):
    mask = (np.random.rand(*x.shape) >= p) / (1 - p)  # noqa: NPY002
    return x * mask, mask


def dropout_backward(dy, mask):
    return dy * mask


def step(parameter, gradient, velocity, lr, momentum):
    velocity = momentum * velocity + gradient
    return parameter - lr * velocity, velocity


def step_in_place(parameter, gradient, velocity, lr, momentum):
    velocity *= momentum
    velocity += gradient
    parameter -= lr * velocity


def adam(parameter, gradient, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    return parameter - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def adam_with_betas(parameter, gradient, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    return adam(parameter, gradient, m, v, t, lr, *betas, eps)


def gradient(f, x, h=1e-5):
    result = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        old = x[i]
        x[i] = old + h
        ahead = f(x)
        x[i] = old - h
        behind = f(x)
        x[i] = old
        result[i] = (ahead - behind) / (2 * h)
    return result


def gradient_without_step(f, x):
    return gradient(f, x, 1e-6)


def fourth_order_gradient(f, x, h=1e-5):
    return (4 * gradient(f, x.copy(), h / 2) - gradient(f, x.copy(), h)) / 3


def scores(x, W1, b1, W2, b2):
    return np.maximum(0, x @ W1 + b1) @ W2 + b2


def network(x, y, W1, b1, W2, b2, reg=0.0):
    hidden = np.maximum(0, x @ W1 + b1)
    loss, d = loss_and_gradient(hidden @ W2 + b2, y)
    dh = d @ W2.T * (hidden > 0)
    loss += reg * (np.sum(W1**2) + np.sum(W2**2))
    return loss, {"W1": x.T @ dh + 2 * reg * W1, "b1": dh.sum(0), "W2": hidden.T @ d + 2 * reg * W2, "b2": d.sum(0)}


def network_of_params(params, X, y, reg):
    return network(X, y, params["W1"], params["b1"], params["W2"], params["b2"], reg)


def network_with_rows(x, labels, weight1, bias1, weight2, bias2, reg=0.0):
    loss, grads = network(x, labels, weight1.T, bias1, weight2.T, bias2, reg)
    return loss, (grads["W1"].T, grads["b1"], grads["W2"].T, grads["b2"])


# ---- with a cache, as in cs231n --------------------------------------------------------------------------------------
def affine_forward(x, w, b):
    return x @ w + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def affine_backward_plain(dout, x, w):
    return affine_backward(dout, (x, w, None))


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward_cache(dout, cache):
    return dout * (cache > 0)


def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    if mode == "test":
        return gamma * (x - bn_param["running_mean"]) / np.sqrt(bn_param["running_var"] + eps) + beta, None
    mean, var = x.mean(axis=0), x.var(axis=0)
    bn_param["running_mean"] = momentum * bn_param["running_mean"] + (1 - momentum) * mean
    bn_param["running_var"] = momentum * bn_param["running_var"] + (1 - momentum) * var
    std = np.sqrt(var + eps)
    x_hat = (x - mean) / std
    return gamma * x_hat + beta, (x_hat, std, gamma)


def batchnorm_backward(dout, cache):
    x_hat, std, gamma = cache
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    return gamma / std * (dout - dbeta / len(dout) - x_hat * dgamma / len(dout)), dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    return layer_norm(x, gamma, beta, eps), (x, gamma, eps)


def layernorm_backward(dout, cache):
    x, gamma, eps = cache
    return layer_norm_backward(dout, x, gamma, eps)


def conv_forward_naive(x, w, b, conv_param):
    return conv2d(x, w, b, conv_param["stride"], conv_param["pad"]), (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, _, conv_param = cache
    return conv2d_backward(dout, x, w, conv_param["stride"], conv_param["pad"])


def _window(pool_param):
    return (pool_param["pool_height"], pool_param["pool_width"]), pool_param["stride"]


def max_pool_forward_naive(x, pool_param):
    return max_pool2d(x, *_window(pool_param)), (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    return max_pool2d_backward(dout, x, *_window(pool_param))


def avg_pool_forward_naive(x, pool_param):
    return avg_pool2d(x, *_window(pool_param)), (x, pool_param)


def avg_pool_backward_naive(dout, cache):
    x, pool_param = cache
    return avg_pool2d_backward(dout, x, *_window(pool_param))


def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "test":
        return x, (dropout_param, None)
    mask = (np.random.rand(*x.shape) < p) / p  # noqa: NPY002
    return x * mask, (dropout_param, mask)


def dropout_backward_cache(dout, cache):
    return dout * cache[1]


def sgd_momentum(w, dw, config=None):
    v = config.get("velocity", np.zeros_like(w))
    config["velocity"] = config["momentum"] * v - config["learning_rate"] * dw
    return w + config["velocity"], config


def adam_of_config(w, dw, config=None):
    config["t"] += 1
    w, config["m"], config["v"] = adam(
        w,
        dw,
        config["m"],
        config["v"],
        config["t"],
        config["learning_rate"],
        config["beta1"],
        config["beta2"],
        config["epsilon"],
    )
    return w, config


def eval_numerical_gradient(f, x, verbose=True, h=0.00001):
    return gradient(f, x, h)


def eval_numerical_gradient_array(f, x, df, h=1e-5):
    return gradient(lambda x: np.sum(f(x) * df), x, h)


RIGHT = [
    ("linear", {"forward": linear, "backward": linear_backward}),
    ("linear", {"forward": affine_forward, "backward": affine_backward}),
    ("linear", {"backward": affine_backward_plain}),
    ("relu", {"forward": relu, "backward": relu_backward}),
    ("relu", {"backward": lambda dy, y: dy * (y > 0)}),
    ("relu", {"forward": relu_forward, "backward": relu_backward_cache}),
    ("sigmoid", {"forward": sigmoid, "backward": sigmoid_backward}),
    (
        "sigmoid",
        {"forward": lambda x: (sigmoid(x), sigmoid(x)), "backward": lambda dout, cache: dout * cache * (1 - cache)},
    ),
    ("sigmoid", {"backward": lambda dy, x: dy * sigmoid(x) * (1 - sigmoid(x))}),
    ("softmax", {"forward": softmax, "backward": softmax_backward}),
    (
        "softmax",
        {"forward": lambda x: (softmax(x), softmax(x)), "backward": lambda dout, cache: softmax_backward(dout, cache)},
    ),
    ("softmax_cross_entropy", {"loss_and_gradient": loss_and_gradient}),
    ("softmax_cross_entropy", {"loss_and_gradient": lambda x, y: loss_and_gradient(x, y)}),
    (
        "softmax_cross_entropy",
        {
            "forward": lambda scores, labels: loss_and_gradient(scores, labels)[0],
            "backward": lambda scores, labels: loss_and_gradient(scores, labels)[1],
        },
    ),
    (
        "batch_norm",
        {"forward": batch_norm, "backward": batch_norm_backward, "inference": batch_norm_inference, "running": running},
    ),
    ("batch_norm", {"forward": batchnorm_forward, "backward": batchnorm_backward, "inference": batchnorm_forward}),
    ("layer_norm", {"forward": layer_norm, "backward": layer_norm_backward}),
    ("layer_norm", {"forward": layernorm_forward, "backward": layernorm_backward}),
    ("conv2d", {"forward": conv2d, "backward": conv2d_backward}),
    ("conv2d", {"forward": conv_forward_naive, "backward": conv_backward_naive}),
    ("max_pool2d", {"forward": max_pool2d, "backward": max_pool2d_backward}),
    ("max_pool2d", {"forward": max_pool_forward_naive, "backward": max_pool_backward_naive}),
    ("avg_pool2d", {"forward": avg_pool2d, "backward": avg_pool2d_backward}),
    ("avg_pool2d", {"forward": avg_pool_forward_naive, "backward": avg_pool_backward_naive}),
    ("dropout", {"forward": dropout, "backward": dropout_backward, "inference": lambda x, p: x}),
    ("dropout", {"forward": dropout, "inference": lambda x: x.copy()}),
    ("dropout", {"forward": dropout_forward, "backward": dropout_backward_cache, "inference": dropout_forward}),
    ("sgd_momentum", {"step": step}),
    ("sgd_momentum", {"step": step_in_place}),
    ("sgd_momentum", {"step": sgd_momentum}),
    ("adam", {"step": adam}),
    ("adam", {"step": adam_with_betas}),
    ("adam", {"step": adam_of_config}),
    ("numeric_gradient", {"gradient": gradient}),
    ("numeric_gradient", {"gradient": gradient_without_step}),
    ("numeric_gradient", {"gradient": fourth_order_gradient}),
    ("numeric_gradient", {"gradient": eval_numerical_gradient}),
    ("numeric_gradient", {"gradient": eval_numerical_gradient_array}),
    ("two_layer_network", {"forward": scores, "loss_and_gradient": network}),
    ("two_layer_network", {"loss_and_gradient": network_of_params}),
    ("two_layer_network", {"loss_and_gradient": network_with_rows}),
    ("l2_penalty", {"penalty": lambda weight, reg: reg * np.sum(weight**2), "gradient": lambda W, reg: 2 * reg * W}),
    ("l2_penalty", {"loss_and_gradient": lambda w, reg: (reg * np.vdot(w, w), 2 * reg * w)}),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("operation", "functions"), RIGHT)
def test_right_functions_pass(operation, functions, seed):
    np.random.seed(seed)  # noqa: NPY002
    report = grading.check(operation, seed=seed, points=6, **functions)
    assert report.passed, str(report)
    assert report.points == pytest.approx(6)
    assert report.mistakes == []


def test_settings_change_what_is_right():
    def summed(scores, labels):
        loss, d = loss_and_gradient(scores, labels)
        return loss * len(scores), d * len(scores)

    def one_hot(scores, labels):
        return loss_and_gradient(scores, labels.argmax(1))

    assert grading.check("softmax_cross_entropy", loss_and_gradient=summed, reduction="sum").passed
    assert not grading.check("softmax_cross_entropy", loss_and_gradient=summed).passed
    assert grading.check("softmax_cross_entropy", loss_and_gradient=one_hot, labels="one_hot").passed
    half = {"penalty": lambda w, reg: reg * np.sum(w**2) / 2, "gradient": lambda w, reg: reg * w}
    assert grading.check("l2_penalty", half=True, **half).passed
    assert not any(part.passed for part in grading.check("l2_penalty", **half).parts)
