"""Functions with one mistake each, as students write them: linear layers, activations, losses, penalties."""

import numpy as np

from students.library import right, wrong

# --- linear ---------------------------------------------------------------------------------------------------------


def linear(x, weight, bias):
    return x @ weight.T + bias


def linear_back(dy, x, weight):
    return dy @ weight, dy.T @ x, dy.sum(axis=0)


right("linear", "matrix products", forward=linear, backward=linear_back)


@right("linear", "loops over samples and outputs")
class _:
    def forward(x, weight, bias):
        n, out = len(x), len(weight)
        y = np.zeros((n, out), dtype=x.dtype)
        for i in range(n):
            for j in range(out):
                y[i, j] = np.sum(x[i] * weight[j]) + bias[j]
        return y

    def backward(dy, x, weight):
        dx = np.zeros_like(x)
        dweight = np.zeros_like(weight)
        for i in range(len(x)):
            dx[i] = weight.T.dot(dy[i])
            dweight += np.outer(dy[i], x[i])
        return dx, dweight, np.sum(dy, 0)


@right("linear", "cs231n, with a cache")
class _:
    def forward(x, w, b):
        out = x.reshape(x.shape[0], -1).dot(w) + b
        return out, (x, w, b)

    def backward(dout, cache):
        x, w, b = cache
        dx = dout.dot(w.T).reshape(x.shape)
        dw = x.reshape(x.shape[0], -1).T.dot(dout)
        db = np.sum(dout, axis=0)
        return dx, dw, db


@wrong("linear", "the bias is not added", r"bias")
class _:
    def forward(x, weight, bias):
        return np.dot(x, weight.T)

    backward = linear_back


@wrong("linear", "the bias is subtracted", r"bias")
class _:
    def forward(x, weight, bias):
        return x @ weight.T - bias

    backward = linear_back


@wrong("linear", "the gradient of the weight is transposed", r"transpos")
class _:
    forward = linear

    def backward(dy, x, weight):
        return dy @ weight, x.T @ dy, dy.sum(axis=0)


@wrong("linear", "the gradient of the bias is a mean over the batch", r"mean|divided")
class _:
    forward = linear

    def backward(dy, x, weight):
        db = np.mean(dy, axis=0)
        return np.dot(dy, weight), np.dot(dy.T, x), db


@wrong("linear", "all gradients are divided by the batch size", r"divided by the (batch size|number of)|batch size")
class _:
    forward = linear

    def backward(dy, x, weight):
        n = dy.shape[0]
        return dy @ weight, dy.T @ x / n, dy.sum(0) / n


@wrong("linear", "the bias gradient is summed over the features", r"axis|shape")
class _:
    forward = linear

    def backward(dy, x, weight):
        return dy @ weight, dy.T @ x, dy.sum(axis=1)


@wrong("linear", "the gradient of the weight is of the last sample", r"last|overwritten|one sample")
class _:
    forward = linear

    def backward(dy, x, weight):
        for i in range(x.shape[0]):
            dweight = np.outer(dy[i], x[i])
        return dy @ weight, dweight, dy.sum(axis=0)


@wrong("linear", "dy is not used for the gradient of x", r"dy|upstream")
class _:
    forward = linear

    def backward(dy, x, weight):
        return np.ones_like(dy) @ weight, dy.T @ x, dy.sum(axis=0)


# --- relu -----------------------------------------------------------------------------------------------------------


def relu(x):
    return np.maximum(x, 0)


def relu_back(dy, y):
    return dy * (y > 0)


right("relu", "maximum", forward=relu, backward=relu_back)


@right("relu", "where, at zero the gradient passes")
class _:
    def forward(x):
        return np.where(x >= 0, x, 0.0)

    def backward(dy, x):
        dx = dy.copy()
        dx[x < 0] = 0
        return dx


@wrong("relu", "the absolute value", r"absolute|negative|sign")
class _:
    def forward(x):
        return np.abs(x)

    backward = relu_back


@wrong("relu", "leaky", r"leak|negative")
class _:
    def forward(x):
        return np.where(x > 0, x, 0.01 * x)

    backward = relu_back


@wrong("relu", "backward lets everything pass", r"mask|pass|where")
class _:
    forward = relu

    def backward(dy, y):
        return dy


@wrong("relu", "backward clips the gradient instead of the input", r"dy|gradient")
class _:
    forward = relu

    def backward(dy, y):
        return np.maximum(dy, 0)


@wrong("relu", "backward forgets dy", r"dy|upstream")
class _:
    forward = relu

    def backward(dy, y):
        return (y > 0).astype(y.dtype)


@wrong("relu", "backward multiplies by y", r"multipl|mask|y itself|times")
class _:
    forward = relu

    def backward(dy, y):
        return dy * y


@wrong("relu", "forward writes into its argument", r"in place|chang|overwr")
class _:
    def forward(x):
        x[x < 0] = 0
        return x

    backward = relu_back


# --- sigmoid --------------------------------------------------------------------------------------------------------


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_back(dy, y):
    return dy * y * (1 - y)


right("sigmoid", "two cases", forward=sigmoid, backward=sigmoid_back)


@right("sigmoid", "by tanh")
class _:
    def forward(x):
        return 0.5 * (1 + np.tanh(0.5 * x))

    def backward(dy, y):
        return dy * (y - y**2)


@wrong("sigmoid", "the sign of the exponent", r"sign|exp")
class _:
    def forward(x):
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, e / (1 + e), 1 / (1 + e))

    backward = sigmoid_back


@wrong("sigmoid", "overflows for large negative inputs", r"overflow")
class _:
    def forward(x):
        return np.exp(x) / (1 + np.exp(x))

    backward = sigmoid_back


@wrong("sigmoid", "backward misses the factor 1 - y", r"1 - y")
class _:
    forward = sigmoid

    def backward(dy, y):
        return dy * y


@wrong("sigmoid", "backward applies sigmoid to y again", r"again|twice|of y|already")
class _:
    forward = sigmoid

    def backward(dy, y):
        s = 1 / (1 + np.exp(-y))
        return dy * s * (1 - s)


@wrong("sigmoid", "backward forgets dy", r"dy|upstream")
class _:
    forward = sigmoid

    def backward(dy, y):
        return y * (1 - y)


# --- softmax --------------------------------------------------------------------------------------------------------


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_back(dy, y):
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


right("softmax", "shifted", forward=softmax, backward=softmax_back)


@right("softmax", "row by row, with the matrix of derivatives")
class _:
    def forward(x):
        y = np.empty_like(x)
        for i, row in enumerate(x):
            shifted = np.exp(row - np.max(row))
            y[i] = shifted / np.sum(shifted)
        return y

    def backward(dy, y):
        dx = np.zeros_like(y)
        for i in range(y.shape[0]):
            p = y[i].reshape(-1, 1)
            jacobian = np.diagflat(p) - p @ p.T
            dx[i] = jacobian @ dy[i]
        return dx


@wrong("softmax", "no maximum subtracted", r"overflow")
class _:
    def forward(x):
        e = np.exp(x)
        return e / np.sum(e, axis=1, keepdims=True)

    backward = softmax_back


@wrong("softmax", "normalised over the batch", r"axis|batch|column")
class _:
    def forward(x):
        e = np.exp(x - np.max(x, axis=0))
        return e / np.sum(e, axis=0)

    backward = softmax_back


@wrong("softmax", "normalised over everything", r"axis|whole|all|row")
class _:
    def forward(x):
        e = np.exp(x - np.max(x))
        return e / np.sum(e)

    backward = softmax_back


@wrong("softmax", "backward takes the diagonal only", r"diagonal|sum|term")
class _:
    forward = softmax

    def backward(dy, y):
        return dy * y * (1 - y)


@wrong("softmax", "backward without the factor y", r"factor|multipl|y")
class _:
    forward = softmax

    def backward(dy, y):
        return dy - np.sum(dy * y, axis=1, keepdims=True)


# --- softmax cross-entropy ------------------------------------------------------------------------------------------


@right("softmax_cross_entropy", "log-sum-exp")
class _:
    def loss_and_gradient(scores, labels):
        n = len(scores)
        shifted = scores - scores.max(1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        loss = -log_p[np.arange(n), labels].mean()
        d = np.exp(log_p)
        d[np.arange(n), labels] -= 1
        return loss, d / n


@right("softmax_cross_entropy", "one-hot")
class _:
    def loss_and_gradient(scores, labels):
        n, c = scores.shape
        target = np.eye(c)[labels]
        m = np.max(scores, axis=1, keepdims=True)
        log_sum = m + np.log(np.sum(np.exp(scores - m), axis=1, keepdims=True))
        loss = np.sum(target * (log_sum - scores)) / n
        return float(loss), (np.exp(scores - log_sum) - target) / n


def _cross_entropy(scores, labels):
    n = len(scores)
    shifted = scores - scores.max(1, keepdims=True)
    p = np.exp(shifted)
    p /= p.sum(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return n, p, log_p[np.arange(n), labels]


@wrong("softmax_cross_entropy", "the gradient is not divided by the batch size", r"not divided by the batch size")
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        p[range(n), labels] -= 1
        return -log_p.mean(), p


@wrong("softmax_cross_entropy", "the loss is a sum", r"sum|not (averaged|divided)|mean")
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        p[range(n), labels] -= 1
        return -log_p.sum(), p / n


@wrong("softmax_cross_entropy", "the sign of the loss", r"sign|negative")
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        p[range(n), labels] -= 1
        return log_p.mean(), p / n


@wrong("softmax_cross_entropy", "overflow", r"overflow")
class _:
    def loss_and_gradient(scores, labels):
        n = scores.shape[0]
        exps = np.exp(scores)
        probs = exps / exps.sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(n), labels]).sum() / n
        dscores = probs.copy()
        dscores[np.arange(n), labels] -= 1
        dscores /= n
        return loss, dscores


@wrong("softmax_cross_entropy", "log of zero", r"log|underflow|zero|inf")
class _:
    def loss_and_gradient(scores, labels):
        n, p, _ = _cross_entropy(scores, labels)
        loss = -np.mean(np.log(p[np.arange(n), labels]))
        p[np.arange(n), labels] -= 1
        return loss, p / n


@wrong("softmax_cross_entropy", "the 1 is not subtracted", r"one-hot|- 1|subtract|label")
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        return -log_p.mean(), p / n


@wrong("softmax_cross_entropy", "the gradient has the wrong sign", r"sign")
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        return -log_p.mean(), (np.eye(p.shape[1])[labels] - p) / n


@wrong("softmax_cross_entropy", "the gradient is divided by the batch size and the classes", r"classes|divided|size")
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        d = p - np.eye(p.shape[1])[labels]
        return -log_p.mean(), d / d.size


@wrong(
    "softmax_cross_entropy",
    "the 1 is subtracted from the whole column",
    r"column|every (row|sample)|label|one-hot|subtract",
)
class _:
    def loss_and_gradient(scores, labels):
        n, p, log_p = _cross_entropy(scores, labels)
        p[:, labels] -= 1
        return -log_p.mean(), p / n
