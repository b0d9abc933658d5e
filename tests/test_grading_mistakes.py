"""Mistakes that students make are named. The functions are written by hand, apart from the catalogue."""

import numpy as np
import pytest
import test_grading_right as right
from test_grading_right import _size, _window

from fastnn import grading


def named(operation, phrase, part=None, **functions):
    report = grading.check(operation, **functions)
    texts = report.mistakes if part is None else next(p for p in report.parts if p.name == part).mistakes
    assert any(phrase in text for text in texts), f"{phrase!r} is not in\n{report}"


def _relu_in_place(dy, y):
    dy[y <= 0] = 0
    return dy


LINEAR = [
    ("the weight is not transposed", {"forward": lambda x, weight, bias: x @ weight + bias}),
    ("the bias is not added", {"forward": lambda x, weight, bias: x @ weight.T}),
    ("the bias is not added", {"forward": lambda x, w, b: (x @ w, (x, w, b))}),
    ("dx uses the transposed weight", {"backward": lambda dy, x, weight: (dy @ weight.T, dy.T @ x, dy.sum(0))}),
    ("dweight is transposed", {"backward": lambda dy, x, weight: (dy @ weight, x.T @ dy, dy.sum(0))}),
    ("dbias averaged over the batch", {"backward": lambda dy, x, weight: (dy @ weight, dy.T @ x, dy.mean(0))}),
    ("dbias summed along the wrong axis", {"backward": lambda dy, x, weight: (dy @ weight, dy.T @ x, dy.sum(1))}),
    ("dbias not summed over the batch", {"backward": lambda dy, x, weight: (dy @ weight, dy.T @ x, dy)}),
    ("another order", {"backward": lambda dy, x, weight: (dy.T @ x, dy @ weight, dy.sum(0))}),
    ("dweight averaged", {"backward": lambda dy, x, weight: (dy @ weight, dy.T @ x / len(x), dy.sum(0))}),
    ("sign", {"backward": lambda dy, x, weight: (-dy @ weight, dy.T @ x, dy.sum(0))}),
    ("wrong number of results", {"backward": lambda dy, x, weight: (dy @ weight, dy.T @ x)}),
]
ACTIVATIONS = [
    ("relu", "overwritten in place", {"backward": _relu_in_place}),
    ("relu", "the mask is inverted", {"backward": lambda dy, y: dy * (y <= 0)}),
    ("relu", "dy is ignored", {"backward": lambda dy, y: (y > 0) * 1.0}),
    ("relu", "ReLU is applied to dy", {"backward": lambda dy, x: np.maximum(dy, 0)}),
    ("relu", "leaky", {"forward": lambda x: np.where(x > 0, x, 0.01 * x)}),
    ("relu", "always true", {"backward": lambda dy, y: dy * (y >= 0)}),
    ("sigmoid", "minus in the exponent", {"forward": lambda x: 1 / (1 + np.exp(x))}),
    ("sigmoid", "overflow for large numbers", {"forward": lambda x: np.exp(x) / (1 + np.exp(x))}),
    ("sigmoid", "dy is ignored", {"backward": lambda dy, y: y * (1 - y)}),
    ("sigmoid", "applied to y again", {"backward": lambda dy, y: dy * right.sigmoid(y) * (1 - right.sigmoid(y))}),
    ("softmax", "overflow for large scores", {"forward": lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)}),
    ("softmax", "wrong axis", {"forward": lambda x: right.softmax(x.T).T}),
    ("softmax", "whole array", {"forward": lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum()}),
    (
        "softmax",
        "maximum of the whole array",
        {"forward": lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(1)[:, None]},
    ),
    ("softmax", "diagonal", {"backward": lambda dy, y: dy * y * (1 - y)}),
]


def _ce(loss_factor=1.0, gradient_factor=1.0, one=1.0, log=None):
    def function(scores, labels):
        n = len(scores)
        p = right.softmax(scores)
        picked = p[np.arange(n), labels]
        loss = np.mean(-(np.log(picked) if log is None else log(picked)))
        _, d = right.loss_and_gradient(scores, labels)
        loss = right.loss_and_gradient(scores, labels)[0] if log is None else loss
        d[np.arange(n), labels] += (1 - one) / n
        return loss * (loss_factor if loss_factor != "n" else n), d * (gradient_factor if gradient_factor != "n" else n)

    return function


def _naive(scores, labels):
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(p)), labels]).mean()
    d = p.copy()
    d[np.arange(len(p)), labels] -= 1
    return loss, d / len(p)


def _whole_columns(scores, labels):
    loss, _ = right.loss_and_gradient(scores, labels)
    p = right.softmax(scores)
    p[:, labels] -= 1
    return loss, p / len(p)


def _off_by_one(scores, labels):
    return right.loss_and_gradient(scores, labels - 1)


CROSS_ENTROPY = [
    ("loss is not divided by the batch size", _ce("n")),
    ("gradient is not divided by the batch size", _ce(1.0, "n")),
    ("one-hot labels are forgotten", _ce(one=0.0)),
    ("one-hot labels are added", _ce(one=-1.0)),
    ("sign of the gradient is flipped", _ce(gradient_factor=-1.0)),
    ("2 times too large", _ce(gradient_factor=2.0)),
    ("minus is missing", _ce(-1.0)),
    ("overflow for large scores", _naive),
    ("logarithm of zero", _ce(log=np.log)),
    ("1e-08 is added", _ce(log=lambda p: np.log(p + 1e-8))),
    ("clipped at 1e-12", _ce(log=lambda p: np.log(np.clip(p, 1e-12, 1)))),
    ("whole columns", _whole_columns),
    ("labels off by one", _off_by_one),
    ("logarithm is missing", _ce(log=lambda p: p)),
]


def _bn(std, scale=None):
    def function(x, weight, bias, eps=1e-5):
        return (x - x.mean(0)) / std(x, eps) * weight + bias

    return function


BATCH_NORM = [
    ("eps outside the root", _bn(lambda x, eps: np.sqrt(x.var(0)) + eps)),
    ("eps missing", _bn(lambda x, eps: x.std(0))),
    ("unbiased variance", _bn(lambda x, eps: np.sqrt(x.var(0, ddof=1) + eps))),
    ("divided by the variance", _bn(lambda x, eps: x.var(0) + eps)),
    ("multiplied by the standard deviation", _bn(lambda x, eps: 1 / np.sqrt(x.var(0) + eps))),
    ("whole array", lambda x, weight, bias, eps=1e-5: (x - x.mean()) / np.sqrt(x.var() + eps) * weight + bias),
    (
        "wrong axis",
        lambda x, weight, bias, eps=1e-5: (x - x.mean(1)[:, None]) / np.sqrt(x.var(1)[:, None] + eps) * weight + bias,
    ),
    ("mean is not subtracted", lambda x, weight, bias, eps=1e-5: x / np.sqrt(x.var(0) + eps) * weight + bias),
    ("bias (beta) is not added", lambda x, weight, bias, eps=1e-5: right.batch_norm(x, weight, 0 * bias, eps)),
    ("weight (gamma) is not applied", lambda x, weight, bias, eps=1e-5: right.batch_norm(x, 1 + 0 * weight, bias, eps)),
]


def _bn_backward(mean=1.0, variance=1.0, all_=1.0, weight_=True, power=-0.5):
    def backward(dy, x, weight, eps=1e-5):
        invstd = (x.var(0) + eps) ** power
        x_hat = (x - x.mean(0)) * (x.var(0) + eps) ** -0.5
        g = dy * weight if weight_ else dy
        dx = all_ * invstd * (g - mean * g.mean(0) - variance * x_hat * (g * x_hat).mean(0))
        return dx, (dy * x_hat).sum(0), dy.sum(0)

    return backward


BATCH_NORM_BACKWARD = [
    ("the term of the mean is missing", _bn_backward(mean=0)),
    ("the term of the variance is missing", _bn_backward(variance=0)),
    ("the term of the mean is missing", _bn_backward(0, 0)),
    ("the term of the variance is missing", _bn_backward(0, 0)),
    ("the term of the variance has the wrong sign", _bn_backward(variance=-1)),
    ("the term of the variance is 2 times too small", _bn_backward(variance=0.5)),
    ("2 times too large", _bn_backward(all_=2.0)),
    ("not multiplied by the weight", _bn_backward(weight_=False)),
    ("multiplied by the standard deviation", _bn_backward(power=0.5)),
    ("the term of the mean is missing", _bn_backward(mean=0, weight_=False)),
]


def _conv(change_weight=lambda w: w, change_x=lambda x: x, change_bias=lambda b: b):
    def forward(x, weight, bias, stride=1, padding=0):
        return right.conv2d(change_x(x), change_weight(weight), change_bias(bias), stride, padding)

    return forward


def _conv_stride_forgotten(x, weight, bias, stride=1, padding=0):
    y = right.conv2d(x, weight, bias, 1, padding)
    h = (x.shape[2] + 2 * padding - weight.shape[2]) // stride + 1
    w = (x.shape[3] + 2 * padding - weight.shape[3]) // stride + 1
    return y[:, :, :h, :w]


def _conv_one_side(x, weight, bias, stride=1, padding=0):
    xp = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    return right.conv2d(xp, weight, bias, stride, 0)


def _conv_backward_overwritten(dy, x, weight, stride=1, padding=0):
    p = padding
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxp = np.zeros_like(xp)
    r, s = weight.shape[2:]
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows, columns = slice(i * stride, i * stride + r), slice(j * stride, j * stride + s)
            dxp[:, :, rows, columns] = np.einsum("nk,kcpq->ncpq", dy[:, :, i, j], weight)
    _, dw, db = right.conv2d_backward(dy, x, weight, stride, padding)
    return dxp[:, :, p : p + x.shape[2], p : p + x.shape[3]], dw, db


def _conv_backward(dw=lambda g: g, db=lambda dy: dy.sum((0, 2, 3))):
    def backward(dy, x, weight, stride=1, padding=0):
        dx, dweight, _ = right.conv2d_backward(dy, x, weight, stride, padding)
        return dx, dw(dweight), db(dy)

    return backward


CONV = [
    ("the filter is flipped", {"forward": _conv(lambda w: w[..., ::-1, ::-1])}),
    ("rows and columns of the filter", {"forward": _conv(lambda w: w.swapaxes(2, 3))}),
    ("the bias is not added", {"forward": _conv(change_bias=lambda b: 0 * b)}),
    ("stride is not used for the place", {"forward": _conv_stride_forgotten}),
    ("padding on the right and at the bottom only", {"forward": _conv_one_side}),
    (
        "the padding is ignored",
        {"forward": lambda x, weight, bias, stride, padding: right.conv2d(x, weight, bias, stride)},
    ),
    (
        "as large as for stride 1",
        {"forward": lambda x, weight, bias, stride, padding: right.conv2d(x, weight, bias, 1, padding)},
    ),
    ("overwritten where windows overlap", {"backward": _conv_backward_overwritten}),
    ("gradient of the filter is flipped", {"backward": _conv_backward(dw=lambda g: g[..., ::-1, ::-1])}),
    ("dbias is averaged", {"backward": _conv_backward(db=lambda dy: dy.mean((0, 2, 3)))}),
    ("dbias is not summed over the images", {"backward": _conv_backward(db=lambda dy: dy.sum((2, 3)))}),
    ("2 times too small", {"backward": _conv_backward(dw=lambda g: g / 2)}),
]


def _max_backward(mask):
    def backward(dy, x, kernel_size, stride, padding=0):
        r, s = _size(kernel_size)
        p = padding
        xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-np.inf)
        dx = np.zeros_like(xp)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                rows, columns = slice(i * stride, i * stride + r), slice(j * stride, j * stride + s)
                dx[:, :, rows, columns] += mask(xp[:, :, rows, columns]) * dy[:, :, i, j, None, None]
        return dx[:, :, p : p + x.shape[2], p : p + x.shape[3]]

    return backward


def _max_backward_cs231n(dout, cache):
    x, pool_param = cache
    (r, s), stride = _window(pool_param)
    dx = np.zeros_like(x)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            window = x[:, :, i * stride : i * stride + r, j * stride : j * stride + s]
            mask = window == window.max((2, 3), keepdims=True)
            dx[:, :, i * stride : i * stride + r, j * stride : j * stride + s] = mask * dout[:, :, i, j, None, None]
    return dx


def _exchanged(x, pool_param):
    (r, s), stride = _window(pool_param)
    return right.max_pool2d(x, (s, r), stride), None


POOLING = [
    ("max_pool2d", "the two numbers of kernel are exchanged", {"forward": _exchanged}),
    (
        "max_pool2d",
        "every one of equal maxima",
        {"backward": _max_backward(lambda w: w == w.max((2, 3), keepdims=True))},
    ),
    ("max_pool2d", "every pixel of the window", {"backward": _max_backward(lambda w: np.ones_like(w))}),
    (
        "max_pool2d",
        "to the minimum",
        {"backward": _max_backward(lambda w: w == np.where(np.isinf(w), 99, w).min((2, 3), keepdims=True))},
    ),
    ("max_pool2d", "average instead", {"forward": right.avg_pool2d}),
    (
        "max_pool2d",
        "starts at 0",
        {
            "forward": lambda x, kernel_size, stride, padding: np.maximum(
                right.max_pool2d(x, kernel_size, stride, padding), 0
            )
        },
    ),
    (
        "max_pool2d",
        "padded with zeros",
        {
            "forward": lambda x, kernel_size, stride, padding: right.max_pool2d(
                np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2)), kernel_size, stride
            )
        },
    ),
    (
        "max_pool2d",
        "overwritten where windows overlap",
        {"forward": right.max_pool_forward_naive, "backward": _max_backward_cs231n},
    ),
    ("avg_pool2d", "maximum instead", {"forward": right.max_pool2d}),
    (
        "avg_pool2d",
        "not divided",
        {
            "forward": lambda x, kernel_size, stride, padding: (
                right.avg_pool2d(x, kernel_size, stride, padding) * np.prod(_size(kernel_size))
            )
        },
    ),
    (
        "avg_pool2d",
        "not divided",
        {
            "backward": lambda dy, x, kernel_size, stride, padding: (
                right.avg_pool2d_backward(dy, x, kernel_size, stride, padding) * np.prod(_size(kernel_size))
            )
        },
    ),
]


def _adam(correct1=True, correct2=True, inside=False, square=True, sign=-1, swap=False, shift=0):
    def step(parameter, gradient, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        if swap:
            beta1, beta2 = beta2, beta1
        t = t + shift
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * (gradient**2 if square else gradient)
        m_hat = m / (1 - beta1**t) if correct1 else m
        v_hat = v / (1 - beta2**t) if correct2 else v
        return parameter + sign * lr * m_hat / (np.sqrt(v_hat + eps) if inside else np.sqrt(v_hat) + eps), m, v

    return step


def _adam_without_counting(w, dw, config):
    w, config["m"], config["v"] = right.adam(
        w, dw, config["m"], config["v"], config["t"] + 1, config["learning_rate"], config["beta1"], config["beta2"],
        config["epsilon"],
    )  # fmt: skip
    return w, config


def _sgd_config(change):
    def step(w, dw, config):
        v = config.get("velocity", np.zeros_like(w))
        return change(w, dw, v, config["learning_rate"], config["momentum"], config)

    return step


def _lr_outside(w, dw, v, lr, mu, config):
    config["velocity"] = mu * v - dw
    return w + lr * config["velocity"], config


OPTIMISERS = [
    (
        "sgd_momentum",
        "momentum is not used",
        lambda parameter, gradient, velocity, lr, momentum: (parameter - lr * gradient, velocity),
    ),
    (
        "sgd_momentum",
        "Nesterov",
        lambda parameter, gradient, velocity, lr, momentum: (
            parameter - lr * (gradient + momentum * (momentum * velocity + gradient)),
            momentum * velocity + gradient,
        ),
    ),
    (
        "sgd_momentum",
        "dampening",
        lambda parameter, gradient, velocity, lr, momentum: (
            parameter - lr * (momentum * velocity + (1 - momentum) * gradient),
            momentum * velocity + (1 - momentum) * gradient,
        ),
    ),
    (
        "sgd_momentum",
        "inside the velocity",
        lambda parameter, gradient, velocity, lr, momentum: (
            parameter - (momentum * velocity + lr * gradient),
            momentum * velocity + lr * gradient,
        ),
    ),
    (
        "sgd_momentum",
        "gradient ascent",
        lambda parameter, gradient, velocity, lr, momentum: (
            parameter + lr * (momentum * velocity + gradient),
            momentum * velocity + gradient,
        ),
    ),
    ("sgd_momentum", "outside the velocity", _sgd_config(_lr_outside)),
    ("adam", "no bias correction", _adam(False, False)),
    ("adam", "no bias correction of m", _adam(False)),
    ("adam", "no bias correction of v", _adam(True, False)),
    ("adam", "eps inside the root", _adam(inside=True)),
    ("adam", "not squared", _adam(square=False)),
    ("adam", "gradient ascent", _adam(sign=1)),
    ("adam", "beta1 and beta2 are exchanged", _adam(swap=True)),
    ("adam", "t starts at 0", _adam(shift=-1)),
    ("adam", "t is one too large", _adam(shift=1)),
    ("adam", "t is not counted up", _adam_without_counting),
]


def _numeric(formula, restore=True):
    def gradient(f, x, h=1e-5):
        result = np.zeros_like(x)
        for i in np.ndindex(*x.shape):
            old = x[i]
            here = f(x)
            x[i] = old + h
            ahead = f(x)
            x[i] = old - h
            behind = f(x)
            if restore:
                x[i] = old
            result[i] = formula(ahead, here, behind, h)
        return result

    return gradient


NUMERIC = [
    ("one-sided difference", _numeric(lambda a, f, b, h: (a - f) / h)),
    ("divided by h instead of 2 h", _numeric(lambda a, f, b, h: (a - b) / h)),
    ("not restored", _numeric(lambda a, f, b, h: (a - b) / (2 * h), restore=False)),
    ("brackets are missing", _numeric(lambda a, f, b, h: (a - b) / 2 * h)),
    ("sign is flipped", _numeric(lambda a, f, b, h: (b - a) / (2 * h))),
    ("not divided", _numeric(lambda a, f, b, h: a - b)),
]


def _network(penalty=2.0, loss_penalty=1.0, mask=True):
    def function(x, y, W1, b1, W2, b2, reg=0.0):
        hidden = np.maximum(0, x @ W1 + b1)
        loss, d = right.loss_and_gradient(hidden @ W2 + b2, y)
        dh = d @ W2.T * ((hidden > 0) if mask else 1)
        loss += loss_penalty * reg * (np.sum(W1**2) + np.sum(W2**2))
        dw1, dw2 = x.T @ dh + penalty * reg * W1, hidden.T @ d + penalty * reg * W2
        return loss, {"W1": dw1, "b1": dh.sum(0), "W2": dw2, "b2": d.sum(0)}

    return function


NETWORK = [
    ("the factor 2 of the penalty's gradient is missing", _network(penalty=1.0)),
    ("the penalty is missing in the gradients", _network(penalty=0.0)),
    ("the penalty is missing in the loss", _network(loss_penalty=0.0)),
    ("a factor 1/2 before the penalty", _network(loss_penalty=0.5)),
    ("ReLU is missing in backward", _network(mask=False)),
]


@pytest.mark.parametrize(("phrase", "functions"), LINEAR)
def test_mistakes_of_linear(phrase, functions):
    named("linear", phrase, **functions)


@pytest.mark.parametrize(("operation", "phrase", "functions"), [*ACTIVATIONS, *POOLING])
def test_mistakes_of_activations_and_pooling(operation, phrase, functions):
    named(operation, phrase, **functions)


@pytest.mark.parametrize(("phrase", "function"), CROSS_ENTROPY)
def test_mistakes_of_cross_entropy(phrase, function):
    named("softmax_cross_entropy", phrase, loss_and_gradient=function)


@pytest.mark.parametrize(("phrase", "function"), BATCH_NORM)
def test_mistakes_of_batch_norm(phrase, function):
    named("batch_norm", phrase, forward=function)


@pytest.mark.parametrize(("phrase", "function"), BATCH_NORM_BACKWARD)
def test_mistakes_of_batch_norm_backward(phrase, function):
    named("batch_norm", phrase, backward=function)


@pytest.mark.parametrize(("phrase", "functions"), CONV)
def test_mistakes_of_convolution(phrase, functions):
    named("conv2d", phrase, **functions)


@pytest.mark.parametrize(("operation", "phrase", "function"), OPTIMISERS)
def test_mistakes_of_optimisers(operation, phrase, function):
    named(operation, phrase, step=function)


@pytest.mark.parametrize(("phrase", "function"), NUMERIC)
def test_mistakes_of_numeric_gradients(phrase, function):
    named("numeric_gradient", phrase, gradient=function)


@pytest.mark.parametrize(("phrase", "function"), NETWORK)
def test_mistakes_of_the_two_layer_network(phrase, function):
    named("two_layer_network", phrase, loss_and_gradient=function)
