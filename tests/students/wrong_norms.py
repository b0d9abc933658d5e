"""Functions with one mistake each, as students write them: batch norm, layer norm, dropout."""

import numpy as np

from students.library import right, wrong

# --- batch norm -----------------------------------------------------------------------------------------------------


def batch_norm(x, weight, bias, eps=1e-5):
    mean, var = x.mean(0), x.var(0)
    return weight * (x - mean) / np.sqrt(var + eps) + bias


def batch_norm_back(dy, x, weight, eps=1e-5):
    n = len(x)
    mean, std = x.mean(0), np.sqrt(x.var(0) + eps)
    x_hat = (x - mean) / std
    dweight, dbias = (dy * x_hat).sum(0), dy.sum(0)
    dx = weight / (n * std) * (n * dy - dbias - x_hat * dweight)
    return dx, dweight, dbias


def batch_norm_inference(x, weight, bias, running_mean, running_var, eps=1e-5):
    return weight * (x - running_mean) / np.sqrt(running_var + eps) + bias


right("batch_norm", "closed form", forward=batch_norm, backward=batch_norm_back, inference=batch_norm_inference)


@right("batch_norm", "node by node")
class _:
    def forward(x, gamma, beta, eps=1e-5):
        mu = np.sum(x, axis=0) / x.shape[0]
        xmu = x - mu
        sq = xmu**2
        var = np.sum(sq, axis=0) / x.shape[0]
        ivar = 1.0 / np.sqrt(var + eps)
        return xmu * ivar * gamma + beta

    def backward(dout, x, gamma, eps=1e-5):
        n, d = dout.shape
        mu = np.mean(x, axis=0)
        xmu = x - mu
        var = np.mean(xmu**2, axis=0)
        sqrtvar = np.sqrt(var + eps)
        ivar = 1.0 / sqrtvar
        xhat = xmu * ivar
        dbeta = np.sum(dout, axis=0)
        dgamma = np.sum(dout * xhat, axis=0)
        dxhat = dout * gamma
        divar = np.sum(dxhat * xmu, axis=0)
        dxmu1 = dxhat * ivar
        dsqrtvar = -1.0 / (sqrtvar**2) * divar
        dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
        dsq = 1.0 / n * np.ones((n, d)) * dvar
        dxmu2 = 2 * xmu * dsq
        dx1 = dxmu1 + dxmu2
        dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
        dx2 = 1.0 / n * np.ones((n, d)) * dmu
        return dx1 + dx2, dgamma, dbeta


@right("batch_norm", "cs231n, with a cache")
class _:
    def forward(x, gamma, beta, bn_param):
        mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
        running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
        running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
        cache = None
        if mode == "train":
            mean, var = x.mean(axis=0), x.var(axis=0)
            x_hat = (x - mean) / np.sqrt(var + eps)
            out = gamma * x_hat + beta
            running_mean = momentum * running_mean + (1 - momentum) * mean
            running_var = momentum * running_var + (1 - momentum) * var
            cache = (x_hat, gamma, var, eps)
        else:
            out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        bn_param["running_mean"] = running_mean
        bn_param["running_var"] = running_var
        return out, cache

    def backward(dout, cache):
        x_hat, gamma, var, eps = cache
        dgamma, dbeta = np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)
        dx_hat = dout * gamma
        dx = (dx_hat - dx_hat.mean(0) - x_hat * (dx_hat * x_hat).mean(0)) / np.sqrt(var + eps)
        return dx, dgamma, dbeta


@wrong("batch_norm", "unbiased variance", r"unbiased")
class _:
    def forward(x, weight, bias, eps=1e-5):
        return (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + eps) * weight + bias

    backward = batch_norm_back


@wrong("batch_norm", "eps outside the root", r"eps outside the root|eps.*(outside|after)")
class _:
    def forward(x, weight, bias, eps=1e-5):
        return (x - np.mean(x, axis=0)) / (np.std(x, axis=0) + eps) * weight + bias

    backward = batch_norm_back


@wrong("batch_norm", "divided by the variance", r"variance (instead|rather)|root")
class _:
    def forward(x, weight, bias, eps=1e-5):
        return weight * ((x - x.mean(0)) / (x.var(0) + eps)) + bias

    backward = batch_norm_back


@wrong("batch_norm", "no eps", r"eps")
class _:
    def forward(x, weight, bias, eps=1e-5):
        with np.errstate(all="ignore"):
            return weight * (x - x.mean(0)) / x.std(0) + bias

    backward = batch_norm_back


@wrong("batch_norm", "statistics over the features", r"axis|feature|sample")
class _:
    def forward(x, weight, bias, eps=1e-5):
        mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
        return weight * (x - mean) / np.sqrt(var + eps) + bias

    backward = batch_norm_back


@wrong("batch_norm", "the bias is multiplied, too", r"bias|weight")
class _:
    def forward(x, weight, bias, eps=1e-5):
        return weight * ((x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias)

    backward = batch_norm_back


@wrong("batch_norm", "mean and variance are taken as constants", r"mean.*variance|constant|both")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        std = np.sqrt(x.var(0) + eps)
        x_hat = (x - x.mean(0)) / std
        return dy * weight / std, (dy * x_hat).sum(0), dy.sum(0)


@wrong("batch_norm", "the term of the mean is missing", r"term of the mean is missing")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        n = x.shape[0]
        std = np.sqrt(x.var(axis=0) + eps)
        x_hat = (x - x.mean(axis=0)) / std
        dxhat = dy * weight
        dx = (dxhat - x_hat * np.sum(dxhat * x_hat, axis=0) / n) / std
        return dx, np.sum(dy * x_hat, axis=0), np.sum(dy, axis=0)


@wrong("batch_norm", "the term of the variance is missing", r"term of the variance is missing")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        std = np.sqrt(x.var(axis=0) + eps)
        x_hat = (x - x.mean(axis=0)) / std
        dxhat = dy * weight
        return (dxhat - dxhat.mean(axis=0)) / std, np.sum(dy * x_hat, axis=0), np.sum(dy, axis=0)


@wrong("batch_norm", "the gradient of x lacks the weight", r"weight|gamma")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        std = np.sqrt(x.var(axis=0) + eps)
        x_hat = (x - x.mean(axis=0)) / std
        dx = (dy - dy.mean(0) - x_hat * (dy * x_hat).mean(0)) / std
        return dx, np.sum(dy * x_hat, axis=0), np.sum(dy, axis=0)


@wrong("batch_norm", "multiplied by the root, not divided", r"multipl|divided")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        std = np.sqrt(x.var(axis=0) + eps)
        x_hat = (x - x.mean(axis=0)) / std
        g = dy * weight
        dx = (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) * std
        return dx, np.sum(dy * x_hat, axis=0), np.sum(dy, axis=0)


@wrong("batch_norm", "the gradient of the weight takes x, not the normalised x", r"normali[sz]|x_hat|x itself|raw")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        dx, _, dbias = batch_norm_back(dy, x, weight, eps)
        return dx, (dy * x).sum(0), dbias


@wrong("batch_norm", "gradients of weight and bias are swapped", r"swap|exchang|order")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        dx, dweight, dbias = batch_norm_back(dy, x, weight, eps)
        return dx, dbias, dweight


@wrong("batch_norm", "gradient of the bias is a mean", r"averaged|divided")
class _:
    forward = batch_norm

    def backward(dy, x, weight, eps=1e-5):
        dx, dweight, _ = batch_norm_back(dy, x, weight, eps)
        return dx, dweight, dy.mean(0)


@wrong("batch_norm", "inference uses the batch's statistics", r"statistics|running|batch")
class _:
    forward = batch_norm
    backward = batch_norm_back

    def inference(x, weight, bias, running_mean, running_var, eps=1e-5):
        return weight * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias


@wrong("batch_norm", "inference takes the variance for a deviation", r"root|standard deviation|deviation")
class _:
    forward = batch_norm
    backward = batch_norm_back

    def inference(x, weight, bias, running_mean, running_var, eps=1e-5):
        return weight * (x - running_mean) / (running_var + eps) + bias


@wrong("batch_norm", "cs231n: the momentum is the wrong way round", r"momentum|running")
class _:
    def forward(x, gamma, beta, bn_param):
        eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
        running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
        running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
        cache = None
        if bn_param["mode"] == "train":
            mean, var = x.mean(axis=0), x.var(axis=0)
            x_hat = (x - mean) / np.sqrt(var + eps)
            running_mean = (1 - momentum) * running_mean + momentum * mean
            running_var = (1 - momentum) * running_var + momentum * var
            cache = (x, gamma, eps)
        else:
            x_hat = (x - running_mean) / np.sqrt(running_var + eps)
        bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
        return gamma * x_hat + beta, cache

    def backward(dout, cache):
        x, gamma, eps = cache
        return batch_norm_back(dout, x, gamma, eps)


# --- layer norm -----------------------------------------------------------------------------------------------------


def layer_norm(x, weight, bias, eps=1e-5):
    mean = x.mean(axis=-1, keepdims=True)
    var = x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def layer_norm_back(dy, x, weight, eps=1e-5):
    mean = x.mean(axis=-1, keepdims=True)
    std = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    x_hat = (x - mean) / std
    g = dy * weight
    dx = (g - g.mean(-1, keepdims=True) - x_hat * (g * x_hat).mean(-1, keepdims=True)) / std
    return dx, (dy * x_hat).sum(0), dy.sum(0)


right("layer_norm", "vectors", forward=layer_norm, backward=layer_norm_back)


@right("layer_norm", "sample by sample")
class _:
    def forward(x, weight, bias, eps=1e-5):
        out = np.empty_like(x)
        for i, row in enumerate(x):
            out[i] = weight * (row - row.mean()) / np.sqrt(row.var() + eps) + bias
        return out

    def backward(dy, x, weight, eps=1e-5):
        dx, dw, db = np.empty_like(x), np.zeros_like(weight), np.zeros_like(weight)
        for i in range(len(x)):
            d = x.shape[1]
            s = (x[i].var() + eps) ** -0.5
            z = (x[i] - x[i].mean()) * s
            jacobian = s * (np.eye(d) - 1 / d - np.outer(z, z) / d)
            dx[i] = jacobian @ (dy[i] * weight)
            dw += dy[i] * z
            db += dy[i]
        return dx, dw, db


@wrong("layer_norm", "normalises over the batch", r"axis|batch")
class _:
    def forward(x, weight, bias, eps=1e-5):
        return weight * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias

    backward = layer_norm_back


@wrong("layer_norm", "unbiased variance", r"unbiased")
class _:
    def forward(x, weight, bias, eps=1e-5):
        mu = x.mean(1, keepdims=True)
        s2 = ((x - mu) ** 2).sum(1, keepdims=True) / (x.shape[1] - 1)
        return weight * (x - mu) / np.sqrt(s2 + eps) + bias

    backward = layer_norm_back


@wrong("layer_norm", "the mean is not subtracted", r"mean")
class _:
    def forward(x, weight, bias, eps=1e-5):
        return weight * x / np.sqrt((x**2).mean(1, keepdims=True) + eps) + bias

    backward = layer_norm_back


@wrong("layer_norm", "weight inside the sum is forgotten", r"weight")
class _:
    forward = layer_norm

    def backward(dy, x, weight, eps=1e-5):
        mean = x.mean(axis=-1, keepdims=True)
        std = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
        x_hat = (x - mean) / std
        dx = weight * (dy - dy.mean(1, keepdims=True) - x_hat * (dy * x_hat).mean(1, keepdims=True)) / std
        return dx, (dy * x_hat).sum(0), dy.sum(0)


@wrong("layer_norm", "the term of the mean is missing", r"term of the mean is missing")
class _:
    forward = layer_norm

    def backward(dy, x, weight, eps=1e-5):
        std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
        x_hat = (x - x.mean(axis=1, keepdims=True)) / std
        g = dy * weight
        dx = (g - x_hat * (g * x_hat).mean(1, keepdims=True)) / std
        return dx, (dy * x_hat).sum(0), dy.sum(0)


# --- dropout --------------------------------------------------------------------------------------------------------


@right("dropout", "inverted, with a generator")
class _:
    def forward(x, p, rng):
        mask = (rng.random(x.shape) >= p) / (1 - p)
        return x * mask, mask

    def backward(dy, mask):
        return dy * mask


@right("dropout", "cs231n, p is the probability to keep")
class _:
    def forward(x, dropout_param):
        p, mode = dropout_param["p"], dropout_param["mode"]
        if "seed" in dropout_param:
            np.random.seed(dropout_param["seed"])
        mask = None
        if mode == "train":
            mask = (np.random.rand(*x.shape) < p) / p
            out = x * mask
        else:
            out = x
        return out.astype(x.dtype, copy=False), (dropout_param, mask)

    def backward(dout, cache):
        dropout_param, mask = cache
        return dout * mask if dropout_param["mode"] == "train" else dout


@wrong("dropout", "not scaled", r"scal|1 - p|divided")
class _:
    def forward(x, p, rng):
        mask = rng.random(x.shape) >= p
        return x * mask, mask

    def backward(dy, mask):
        return dy * mask


@wrong("dropout", "keeps what it should drop", r"keep|drop|p and 1 - p|probability")
class _:
    def forward(x, p, rng):
        mask = (rng.random(x.shape) < p) / p
        return x * mask, mask

    def backward(dy, mask):
        return dy * mask


@wrong("dropout", "backward ignores the mask", r"mask")
class _:
    def forward(x, p, rng):
        mask = (rng.random(x.shape) >= p) / (1 - p)
        return x * mask, mask

    def backward(dy, mask):
        return dy


@wrong("dropout", "one mask for all samples", r"same|sample|row|independent|one mask")
class _:
    def forward(x, p, rng):
        mask = np.broadcast_to((rng.random(x.shape[1:]) >= p) / (1 - p), x.shape)
        return x * mask, mask

    def backward(dy, mask):
        return dy * mask


@wrong("dropout", "scaled by 1 - p instead of divided", r"scal|multipl|divid")
class _:
    def forward(x, p, rng):
        mask = (rng.random(x.shape) >= p) * (1 - p)
        return x * mask, mask

    def backward(dy, mask):
        return dy * mask
