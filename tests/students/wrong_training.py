"""Functions with one mistake each, as students write them: optimisers, penalties, numeric gradients, two layers."""

import numpy as np

from students.library import right, wrong

# --- SGD with momentum ----------------------------------------------------------------------------------------------


@right("sgd_momentum", "PyTorch's")
class _:
    def step(w, dw, velocity, lr, momentum):
        velocity = momentum * velocity + dw
        return w - lr * velocity, velocity


@right("sgd_momentum", "cs231n's, with a config")
class _:
    def step(w, dw, config=None):
        config = {} if config is None else config
        config.setdefault("learning_rate", 1e-2)
        config.setdefault("momentum", 0.9)
        v = config.get("velocity", np.zeros_like(w))
        v = config["momentum"] * v - config["learning_rate"] * dw
        config["velocity"] = v
        return w + v, config


@wrong("sgd_momentum", "uphill", r"sign|uphill|ascen|added")
class _:
    def step(w, dw, velocity, lr, momentum):
        velocity = momentum * velocity + dw
        return w + lr * velocity, velocity


@wrong("sgd_momentum", "the momentum has the wrong sign", r"sign|momentum")
class _:
    def step(w, dw, velocity, lr, momentum):
        velocity = dw - momentum * velocity
        return w - lr * velocity, velocity


@wrong("sgd_momentum", "dampened like an average", r"1 - momentum|dampen|average")
class _:
    def step(w, dw, velocity, lr, momentum):
        velocity = momentum * velocity + (1 - momentum) * dw
        return w - lr * velocity, velocity


@wrong("sgd_momentum", "Nesterov's", r"[Nn]esterov")
class _:
    def step(w, dw, velocity, lr, momentum):
        velocity = momentum * velocity + dw
        return w - lr * (dw + momentum * velocity), velocity


@wrong("sgd_momentum", "the velocity is not kept", r"velocity|not (kept|returned|updated|remembered)|old")
class _:
    def step(w, dw, velocity, lr, momentum):
        new = momentum * velocity + dw
        return w - lr * new, velocity


# --- Adam -----------------------------------------------------------------------------------------------------------


@right("adam", "Kingma and Ba's")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@right("adam", "cs231n's, with a config")
class _:
    def step(w, dw, config=None):
        config = {} if config is None else config
        for key, value in {
            "learning_rate": 1e-3,
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "m": np.zeros_like(w),
            "v": np.zeros_like(w),
            "t": 0,
        }.items():
            config.setdefault(key, value)
        config["t"] += 1
        b1, b2 = config["beta1"], config["beta2"]
        config["m"] = b1 * config["m"] + (1 - b1) * dw
        config["v"] = b2 * config["v"] + (1 - b2) * dw * dw
        first, second = config["m"] / (1 - b1 ** config["t"]), config["v"] / (1 - b2 ** config["t"])
        return w - config["learning_rate"] * first / (np.sqrt(second) + config["epsilon"]), config


@wrong("adam", "no bias correction", r"bias correction")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        return w - lr * m / (np.sqrt(v) + eps), m, v


@wrong("adam", "the second moment is not squared", r"squar")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * np.abs(dw)
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@wrong("adam", "no root", r"root")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return w - lr * m_hat / (v_hat + eps), m, v


@wrong("adam", "eps inside the root", r"eps.*inside|inside.*root")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return w - lr * m_hat / np.sqrt(v_hat + eps), m, v


@wrong("adam", "the betas are swapped", r"swap|exchang|beta")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta2 * m + (1 - beta2) * dw
        v = beta1 * v + (1 - beta1) * dw**2
        m_hat, v_hat = m / (1 - beta2**t), v / (1 - beta1**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@wrong("adam", "the corrected moments are kept", r"correct")
class _:
    def step(w, dw, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = (beta1 * m + (1 - beta1) * dw) / (1 - beta1**t)
        v = (beta2 * v + (1 - beta2) * dw**2) / (1 - beta2**t)
        return w - lr * m / (np.sqrt(v) + eps), m, v


# --- numeric gradient -----------------------------------------------------------------------------------------------


@right("numeric_gradient", "central differences")
class _:
    def gradient(f, x, h=1e-5):
        g = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            old = x[i]
            x[i] = old + h
            up = f(x)
            x[i] = old - h
            down = f(x)
            x[i] = old
            g[i] = (up - down) / (2 * h)
        return g


@right("numeric_gradient", "copies")
class _:
    def gradient(f, x, h=1e-5):
        flat = x.ravel()
        columns = []
        for k in range(flat.size):
            step = np.zeros(flat.size)
            step[k] = h
            step = step.reshape(x.shape)
            columns.append((f(x + step) - f(x - step)) / h / 2)
        return np.array(columns).reshape(x.shape)


@wrong("numeric_gradient", "one-sided", r"one-sided|forward difference|central")
class _:
    def gradient(f, x, h=1e-5):
        g = np.zeros_like(x)
        base = f(x)
        for i in np.ndindex(x.shape):
            moved = x.copy()
            moved[i] += h
            g[i] = (f(moved) - base) / h
        return g


@wrong("numeric_gradient", "divided by h, not 2 h", r"2 ?\*? ?h|twice|factor 2|2 times")
class _:
    def gradient(f, x, h=1e-5):
        g = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            d = np.zeros_like(x)
            d[i] = h
            g[i] = (f(x + d) - f(x - d)) / h
        return g


@wrong("numeric_gradient", "x is not restored", r"restor|x is changed|chang|in place")
class _:
    def gradient(f, x, h=1e-5):
        g = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            x[i] += h
            up = f(x)
            x[i] -= 2 * h
            g[i] = (up - f(x)) / (2 * h)
        return g


@wrong("numeric_gradient", "all elements moved at once", r"all|at once|one (element|at a time)|every|single")
class _:
    def gradient(f, x, h=1e-5):
        return np.full_like(x, (f(x + h) - f(x - h)) / (2 * h))


@wrong("numeric_gradient", "the sign", r"sign")
class _:
    def gradient(f, x, h=1e-5):
        g = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            d = np.zeros_like(x)
            d[i] = h
            g[i] = (f(x - d) - f(x + d)) / (2 * h)
        return g


# --- L2 penalty -----------------------------------------------------------------------------------------------------


@right("l2_penalty", "without a half")
class _:
    def loss_and_gradient(weight, strength):
        return strength * np.sum(weight**2), 2 * strength * weight


@wrong("l2_penalty", "the gradient lacks the 2", r"factor (of )?2|the 2|half|2 is missing|twice")
class _:
    def loss_and_gradient(weight, strength):
        return strength * np.sum(weight * weight), strength * weight


@wrong("l2_penalty", "a mean instead of a sum", r"mean|sum")
class _:
    def loss_and_gradient(weight, strength):
        return strength * np.mean(weight**2), 2 * strength * weight / weight.size


@wrong("l2_penalty", "L1", r"absolute|L1")
class _:
    def loss_and_gradient(weight, strength):
        return strength * np.sum(np.abs(weight)), strength * np.sign(weight)


@wrong("l2_penalty", "the root of the sum", r"root|norm")
class _:
    def loss_and_gradient(weight, strength):
        norm = np.linalg.norm(weight)
        return strength * norm, strength * weight / norm


# --- two-layer network ----------------------------------------------------------------------------------------------


def two_layers(x, y, w1, b1, w2, b2, reg=0.0):
    n = x.shape[0]
    hidden = np.maximum(x @ w1 + b1, 0)
    scores = hidden @ w2 + b2
    scores = scores - scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(n), y].mean() + reg * ((w1**2).sum() + (w2**2).sum())
    d = np.exp(log_p)
    d[np.arange(n), y] -= 1
    d /= n
    dw2, db2 = hidden.T @ d + 2 * reg * w2, d.sum(0)
    dh = d @ w2.T * (hidden > 0)
    dw1, db1 = x.T @ dh + 2 * reg * w1, dh.sum(0)
    return loss, {"W1": dw1, "b1": db1, "W2": dw2, "b2": db2}


@right("two_layer_network", "one function")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        return two_layers(x, y, W1, b1, W2, b2, reg)


@right("two_layer_network", "a dictionary of parameters")
class _:
    def forward(params, x):
        a = x.dot(params["W1"]) + params["b1"]
        return np.where(a > 0, a, 0).dot(params["W2"]) + params["b2"]

    def loss_and_gradient(params, x, y, reg=0.0):
        n = len(y)
        a = x.dot(params["W1"]) + params["b1"]
        h = a * (a > 0)
        scores = h.dot(params["W2"]) + params["b2"]
        p = np.exp(scores - scores.max(1)[:, None])
        p = p / p.sum(1)[:, None]
        loss = 0.0
        for i in range(n):
            m = scores[i].max()
            loss += m + np.log(np.sum(np.exp(scores[i] - m))) - scores[i, y[i]]
        loss = loss / n + reg * (np.sum(params["W1"] ** 2) + np.sum(params["W2"] ** 2))
        p[np.arange(n), y] -= 1.0
        p /= n
        grads = {"W2": h.T.dot(p) + 2 * reg * params["W2"], "b2": p.sum(axis=0)}
        back = p.dot(params["W2"].T)
        back[a <= 0] = 0
        grads["W1"] = x.T.dot(back) + 2 * reg * params["W1"]
        grads["b1"] = back.sum(axis=0)
        return loss, grads


def _back(x, y, w1, b1, w2, b2, reg):
    """What the wrong ones below share: (loss, gradient of the scores, of the hidden layer before ReLU, hidden)."""
    n = x.shape[0]
    hidden = np.maximum(x @ w1 + b1, 0)
    scores = hidden @ w2 + b2
    scores = scores - scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(n), y].mean() + reg * ((w1**2).sum() + (w2**2).sum())
    d = np.exp(log_p)
    d[np.arange(n), y] -= 1
    return loss, d / n, hidden


@wrong("two_layer_network", "the gradient of the penalty lacks the 2", r"2|half|twice")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        loss, d, hidden = _back(x, y, W1, b1, W2, b2, reg)
        dh = d @ W2.T * (hidden > 0)
        return loss, {
            "W1": x.T @ dh + reg * W1,
            "b1": dh.sum(0),
            "W2": hidden.T @ d + reg * W2,
            "b2": d.sum(0),
        }


@wrong("two_layer_network", "no ReLU in backward", r"ReLU|relu|mask")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        loss, d, hidden = _back(x, y, W1, b1, W2, b2, reg)
        dh = d @ W2.T
        return loss, {
            "W1": x.T @ dh + 2 * reg * W1,
            "b1": dh.sum(0),
            "W2": hidden.T @ d + 2 * reg * W2,
            "b2": d.sum(0),
        }


@wrong("two_layer_network", "the biases are penalised, too", r"bias")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        loss, grads = two_layers(x, y, W1, b1, W2, b2, reg)
        loss += reg * ((b1**2).sum() + (b2**2).sum())
        return loss, grads | {"b1": grads["b1"] + 2 * reg * b1, "b2": grads["b2"] + 2 * reg * b2}


@wrong("two_layer_network", "not divided by the batch size", r"not divided by the batch size|batch size")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        loss, d, hidden = _back(x, y, W1, b1, W2, b2, reg)
        d = d * len(x)
        dh = d @ W2.T * (hidden > 0)
        return loss, {
            "W1": x.T @ dh + 2 * reg * W1,
            "b1": dh.sum(0),
            "W2": hidden.T @ d + 2 * reg * W2,
            "b2": d.sum(0),
        }


@wrong("two_layer_network", "the penalty is in the gradient only", r"penalt|regulari[sz]")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        loss, grads = two_layers(x, y, W1, b1, W2, b2, reg)
        return loss - reg * ((W1**2).sum() + (W2**2).sum()), grads


@wrong("two_layer_network", "no penalty of the second layer", r"W2|second|penalt")
class _:
    def loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0):
        loss, grads = two_layers(x, y, W1, b1, W2, b2, reg)
        return loss - reg * (W2**2).sum(), grads | {"W2": grads["W2"] - 2 * reg * W2}
