"""Functions with one mistake each, as students write them: convolution and pooling."""

import numpy as np

from students.library import right, wrong

# --- convolution ----------------------------------------------------------------------------------------------------


def _size(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride + 1


def conv2d(x, weight, bias, stride=1, padding=0):
    n, _, h, w = x.shape
    k, _, kh, kw = weight.shape
    ho, wo = _size(h, kh, stride, padding), _size(w, kw, stride, padding)
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.zeros((n, k, ho, wo), x.dtype)
    for i in range(ho):
        for j in range(wo):
            window = xp[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            y[:, :, i, j] = np.tensordot(window, weight, axes=([1, 2, 3], [1, 2, 3])) + bias
    return y


def conv2d_back(dy, x, weight, stride=1, padding=0):
    _, _, h, w = x.shape
    _, _, kh, kw = weight.shape
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dxp, dweight = np.zeros_like(xp), np.zeros_like(weight)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows, columns = slice(i * stride, i * stride + kh), slice(j * stride, j * stride + kw)
            d = dy[:, :, i, j]
            dweight += np.tensordot(d, xp[:, :, rows, columns], axes=([0], [0]))
            dxp[:, :, rows, columns] += np.tensordot(d, weight, axes=([1], [0]))
    dx = dxp[:, :, padding : padding + h, padding : padding + w]
    return dx, dweight, dy.sum(axis=(0, 2, 3))


right("conv2d", "windows", forward=conv2d, backward=conv2d_back)


@right("conv2d", "seven loops")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        n, c, h, w = x.shape
        k, _, kh, kw = weight.shape
        ho, wo = _size(h, kh, stride, padding), _size(w, kw, stride, padding)
        y = np.zeros((n, k, ho, wo))
        for b in range(n):
            for f in range(k):
                for i in range(ho):
                    for j in range(wo):
                        total = bias[f]
                        for q in range(c):
                            for p in range(kh):
                                for r in range(kw):
                                    row, column = i * stride + p - padding, j * stride + r - padding
                                    if 0 <= row < h and 0 <= column < w:
                                        total += x[b, q, row, column] * weight[f, q, p, r]
                        y[b, f, i, j] = total
        return y

    backward = conv2d_back


@right("conv2d", "cs231n, im2col by strides")
class _:
    def forward(x, w, b, conv_param):
        stride, pad = conv_param["stride"], conv_param["pad"]
        xp = np.pad(x, ((0,), (0,), (pad,), (pad,)), mode="constant")
        windows = np.lib.stride_tricks.sliding_window_view(xp, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
        out = np.einsum("ncijpq,kcpq->nkij", windows, w) + b[None, :, None, None]
        return out, (x, w, b, conv_param)

    def backward(dout, cache):
        x, w, _b, conv_param = cache
        return conv2d_back(dout, x, w, conv_param["stride"], conv_param["pad"])


@wrong("conv2d", "the filter is flipped", r"flip|rotat|mirror")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        return conv2d(x, weight[:, :, ::-1, ::-1], bias, stride, padding)

    backward = conv2d_back


@wrong("conv2d", "the stride is ignored", r"stride")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        return conv2d(x, weight, bias, 1, padding)

    backward = conv2d_back


@wrong("conv2d", "the stride is in the size, not in the windows", r"stride")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        n, _, h, w = x.shape
        k, _, kh, kw = weight.shape
        ho, wo = _size(h, kh, stride, padding), _size(w, kw, stride, padding)
        return np.ascontiguousarray(conv2d(x, weight, bias, 1, padding)[:, :, :ho, :wo])

    backward = conv2d_back


@wrong("conv2d", "the bias is forgotten", r"bias")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        return conv2d(x, weight, np.zeros_like(bias), stride, padding)

    backward = conv2d_back


@wrong("conv2d", "the padding is on one side", r"padd|side")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        xp = np.pad(x, ((0, 0), (0, 0), (2 * padding, 0), (2 * padding, 0)))
        return conv2d(xp, weight, bias, stride, 0)

    backward = conv2d_back


@wrong("conv2d", "only the first channel", r"channel")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        return conv2d(x[:, :1], weight[:, :1], bias, stride, padding)

    backward = conv2d_back


@wrong("conv2d", "padding with ones, not zeros", r"padd|zero|border")
class _:
    def forward(x, weight, bias, stride=1, padding=0):
        xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), mode="edge")
        return conv2d(xp, weight, bias, stride, 0)

    backward = conv2d_back


@wrong("conv2d", "dx overwritten, not added", r"overwrit|assign|added|accumulat|overlap")
class _:
    forward = conv2d

    def backward(dy, x, weight, stride=1, padding=0):
        _, dweight, dbias = conv2d_back(dy, x, weight, stride, padding)
        _, _, kh, kw = weight.shape
        dxp = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding))
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                patch = np.tensordot(dy[:, :, i, j], weight, axes=([1], [0]))
                dxp[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw] = patch
        return dxp[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]], dweight, dbias


@wrong("conv2d", "dx with the filter not flipped", r"flip|rotat|mirror")
class _:
    forward = conv2d

    def backward(dy, x, weight, stride=1, padding=0):
        _, dweight, dbias = conv2d_back(dy, x, weight, stride, padding)
        dx, _, _ = conv2d_back(dy, x, weight[:, :, ::-1, ::-1], stride, padding)
        return dx, dweight, dbias


@wrong("conv2d", "dbias is not summed over the batch", r"shape|sum|batch")
class _:
    forward = conv2d

    def backward(dy, x, weight, stride=1, padding=0):
        dx, dweight, _ = conv2d_back(dy, x, weight, stride, padding)
        return dx, dweight, dy.sum(axis=(2, 3))


@wrong("conv2d", "dweight is averaged over the batch", r"batch size|divided|mean")
class _:
    forward = conv2d

    def backward(dy, x, weight, stride=1, padding=0):
        dx, dweight, dbias = conv2d_back(dy, x, weight, stride, padding)
        return dx, dweight / len(x), dbias


@wrong("conv2d", "dx keeps the padding", r"padd|shape")
class _:
    forward = conv2d

    def backward(dy, x, weight, stride=1, padding=0):
        xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        return conv2d_back(dy, xp, weight, stride, 0)


# --- pooling --------------------------------------------------------------------------------------------------------


def max_pool(x, kernel_size, stride):
    n, c, h, w = x.shape
    ho, wo = (h - kernel_size) // stride + 1, (w - kernel_size) // stride + 1
    y = np.zeros((n, c, ho, wo), x.dtype)
    for i in range(ho):
        for j in range(wo):
            window = x[:, :, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
            y[:, :, i, j] = window.max(axis=(2, 3))
    return y


def max_pool_back(dy, x, kernel_size, stride):
    dx = np.zeros_like(x)
    n, c, ho, wo = dy.shape
    for b in range(n):
        for k in range(c):
            for i in range(ho):
                for j in range(wo):
                    window = x[b, k, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
                    p, q = np.unravel_index(window.argmax(), window.shape)
                    dx[b, k, i * stride + p, j * stride + q] += dy[b, k, i, j]
    return dx


right("max_pool2d", "windows", forward=max_pool, backward=max_pool_back)


@right("max_pool2d", "cs231n")
class _:
    def forward(x, pool_param):
        hh, ww, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
        n, c, h, w = x.shape
        out = np.zeros((n, c, 1 + (h - hh) // s, 1 + (w - ww) // s))
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[:, :, i, j] = np.amax(x[:, :, i * s : i * s + hh, j * s : j * s + ww], axis=(2, 3))
        return out, (x, pool_param)

    def backward(dout, cache):
        x, pool_param = cache
        hh, ww, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
        dx = np.zeros(x.shape)
        for b, c, i, j in np.ndindex(dout.shape):
            window = x[b, c, i * s : i * s + hh, j * s : j * s + ww]
            p, q = np.unravel_index(np.argmax(window), window.shape)
            dx[b, c, i * s + p, j * s + q] += dout[b, c, i, j]
        return dx


@wrong("max_pool2d", "the mean instead of the maximum", r"mean|average")
class _:
    def forward(x, kernel_size, stride):
        return avg_pool(x, kernel_size, stride)

    backward = max_pool_back


@wrong("max_pool2d", "starts at zero, so negative maxima are lost", r"negative|zero")
class _:
    def forward(x, kernel_size, stride):
        return np.maximum(max_pool(x, kernel_size, stride), 0)

    backward = max_pool_back


@wrong("max_pool2d", "the gradient goes to the whole window", r"whole window|every|all")
class _:
    forward = max_pool

    def backward(dy, x, kernel_size, stride):
        dx = np.zeros_like(x)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                dx[:, :, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size] += dy[
                    :, :, i : i + 1, j : j + 1
                ]
        return dx


@wrong("max_pool2d", "overlapping windows overwrite", r"overwrit|assign|added|accumulat|overlap")
class _:
    forward = max_pool

    def backward(dy, x, kernel_size, stride):
        dx = np.zeros_like(x)
        for b, c, i, j in np.ndindex(dy.shape):
            window = x[b, c, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
            p, q = np.unravel_index(window.argmax(), window.shape)
            dx[b, c, i * stride + p, j * stride + q] = dy[b, c, i, j]
        return dx


@wrong("max_pool2d", "the gradient is 1", r"dy|upstream")
class _:
    forward = max_pool

    def backward(dy, x, kernel_size, stride):
        return max_pool_back(np.ones_like(dy), x, kernel_size, stride)


def avg_pool(x, kernel_size, stride):
    n, c, h, w = x.shape
    ho, wo = (h - kernel_size) // stride + 1, (w - kernel_size) // stride + 1
    y = np.zeros((n, c, ho, wo), x.dtype)
    for i in range(ho):
        for j in range(wo):
            window = x[:, :, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
            y[:, :, i, j] = window.mean(axis=(2, 3))
    return y


def avg_pool_back(dy, x, kernel_size, stride):
    dx = np.zeros_like(x)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows = slice(i * stride, i * stride + kernel_size)
            columns = slice(j * stride, j * stride + kernel_size)
            dx[:, :, rows, columns] += dy[:, :, i, j][:, :, None, None] / kernel_size**2
    return dx


right("avg_pool2d", "windows", forward=avg_pool, backward=avg_pool_back)


@wrong("avg_pool2d", "a sum instead of a mean", r"sum|divided")
class _:
    def forward(x, kernel_size, stride):
        return avg_pool(x, kernel_size, stride) * kernel_size**2

    backward = avg_pool_back


@wrong("avg_pool2d", "divided by the kernel's width only", r"divided|area|window|size")
class _:
    def forward(x, kernel_size, stride):
        return avg_pool(x, kernel_size, stride) * kernel_size

    backward = avg_pool_back


@wrong("avg_pool2d", "backward does not divide", r"divided|not (shared|averag|scal)")
class _:
    forward = avg_pool

    def backward(dy, x, kernel_size, stride):
        return avg_pool_back(dy, x, kernel_size, stride) * kernel_size**2


@wrong("avg_pool2d", "overlapping windows overwrite", r"overwrit|assign|added|accumulat|overlap")
class _:
    forward = avg_pool

    def backward(dy, x, kernel_size, stride):
        dx = np.zeros_like(x)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                rows = slice(i * stride, i * stride + kernel_size)
                columns = slice(j * stride, j * stride + kernel_size)
                dx[:, :, rows, columns] = dy[:, :, i, j][:, :, None, None] / kernel_size**2
        return dx


@wrong("avg_pool2d", "the stride is taken for the kernel size", r"stride")
class _:
    def forward(x, kernel_size, stride):
        full = avg_pool(x, kernel_size, 1)
        n, c, h, w = x.shape
        ho, wo = (h - kernel_size) // stride + 1, (w - kernel_size) // stride + 1
        return np.ascontiguousarray(full[:, :, :ho, :wo])

    backward = avg_pool_back
