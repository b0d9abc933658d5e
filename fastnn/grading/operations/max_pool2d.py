"""Max pooling."""

import numpy as np

from fastnn import reference
from fastnn.grading.operation import Inputs, Operation, PartOfOperation, Results, Wrong
from fastnn.grading.operations import _pooling
from fastnn.grading.operations._shared import double

__all__ = ["OPERATION"]


def _settings(i: Inputs) -> tuple[tuple[int, int], ...]:
    out = _pooling.out_shape(i, frozenset())
    return i["kernel"], (i["stride"],) * 2, (i["padding"],) * 2, (1, 1), out


def _right_forward(inputs: Inputs) -> Results:
    i = double(inputs)
    return {"y": reference.max_pool2d(i["x"], *_settings(i))}


def _padded(i: Inputs, value: float, wrong: Wrong) -> np.ndarray:
    p = 0 if "the padding is ignored" in wrong else i["padding"]
    return np.pad(i["x"], ((0, 0), (0, 0), (p, p), (p, p)), constant_values=value)


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    value = -np.inf
    if "padded with zeros instead of -infinity" in wrong:
        value = 0.0
    x = _padded(i, value, wrong)
    y = np.zeros((*x.shape[:2], *_pooling.out_shape(i, wrong)))
    for a, b, rows, columns in _pooling.places(i, wrong):
        window = x[:, :, rows, columns]
        if "the average instead of the maximum" in wrong:
            y[:, :, a, b] = np.where(np.isfinite(window), window, 0).mean((2, 3))
        elif "the minimum instead of the maximum" in wrong:
            y[:, :, a, b] = np.where(np.isfinite(window), window, np.inf).min((2, 3))
        elif "the sum instead of the maximum" in wrong:
            y[:, :, a, b] = np.where(np.isfinite(window), window, 0).sum((2, 3))
        elif "the maximum of the absolute values" in wrong:
            y[:, :, a, b] = np.abs(np.where(np.isfinite(window), window, 0)).max((2, 3))
        elif "the maximum over all channels" in wrong:
            y[:, :, a, b] = window.max((1, 2, 3))[:, None]
        elif "the maximum over all images" in wrong:
            y[:, :, a, b] = window.max((0, 2, 3))[None]
        elif "the maximum over the whole batch" in wrong:
            y[:, :, a, b] = window.max()
        elif "the first pixel of the window instead of the maximum" in wrong:
            y[:, :, a, b] = window[:, :, 0, 0]
        elif "the place of the maximum instead of the maximum" in wrong:
            y[:, :, a, b] = window.reshape(*window.shape[:2], -1).argmax(2)
        elif "the maximum starts at 0 instead of -infinity" in wrong:
            y[:, :, a, b] = np.maximum(window.max((2, 3)), 0)
        else:
            y[:, :, a, b] = window.max((2, 3))
    if "only the first image is computed" in wrong:
        y[1:] = 0
    if "only the first channel is computed" in wrong:
        y[:, 1:] = 0
    return {"y": y}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    kernel, stride, pad, dilation, out = _settings(i)
    _, taps = reference.max_pool2d_taps(i["x"], kernel, stride, pad, dilation, out)
    dx = reference.max_pool2d_backward(i["dy"], taps, i["x"].shape, kernel, stride, pad, dilation, out)
    return {"dx": dx, "dx otherwise": [_backward(inputs, frozenset({_LAST}))["dx"]]}


_LAST = "the last of equal maxima"  # which is as right as the first


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    x, dy, p = _padded(i, -np.inf, wrong), i["dy"], i["padding"]
    dx = np.zeros_like(x)
    for a, b, rows, columns in _pooling.places(i, wrong):
        window = x[:, :, rows, columns]
        n, c, r, s = window.shape
        flat = window.reshape(n, c, r * s)
        best = flat.argmax(2)
        if _LAST in wrong:
            best = r * s - 1 - flat[..., ::-1].argmax(2)
        if "the gradient goes to the minimum" in wrong:
            best = np.where(np.isfinite(flat), flat, np.inf).argmin(2)
        if "the gradient goes to the first pixel of the window" in wrong:
            best = np.zeros_like(best)
        if "row and column of the maximum are exchanged" in wrong:
            best = best % s * s + best // s if r == s else best
        mask = np.arange(r * s) == best[..., None]
        if "the gradient goes to every one of equal maxima" in wrong:
            mask = flat == flat.max(2, keepdims=True)
        share = mask * dy[:, :, a, b, None]
        if "the gradient is divided among equal maxima" in wrong:
            equal = flat == flat.max(2, keepdims=True)
            share = equal * dy[:, :, a, b, None] / equal.sum(2, keepdims=True)
        if "the gradient goes to every pixel of the window" in wrong:
            share = np.broadcast_to(dy[:, :, a, b, None], flat.shape)
        if "the gradient is spread evenly over the window, as in average pooling" in wrong:
            share = np.broadcast_to(dy[:, :, a, b, None] / (r * s), flat.shape)
        if "dy is ignored: the mask of the maxima alone" in wrong:
            share = mask.astype(np.float64)
        if "multiplied by the maximum itself" in wrong:
            share = np.where(mask, flat, 0) * dy[:, :, a, b, None]
        if "the maximum of all channels gets the gradient" in wrong:
            share = (flat == flat.max((1, 2), keepdims=True)) * dy[:, :, a, b, None]
        if "the sum of dy over the channels" in wrong:
            share = mask * dy[:, :, a, b].sum(1)[:, None, None]
        share = share.reshape(window.shape)
        if "overwritten where windows overlap: assigned instead of added" in wrong:
            dx[:, :, rows, columns] = share
        elif "overwritten where maxima coincide: assigned instead of added" in wrong:
            dx[:, :, rows, columns] = np.where(mask.reshape(window.shape), share, dx[:, :, rows, columns])
        else:
            dx[:, :, rows, columns] += share
    h, w = i["x"].shape[2:]
    if "the padding is not cut off from dx" not in wrong and "the padding is ignored" not in wrong:
        first = 0 if "the padding is cut off from dx on the wrong side" in wrong else p
        dx = dx[:, :, first : first + h, first : first + w]
    return {"dx": dx}


OPERATION = Operation(
    name="max_pool2d",
    title="Max pooling of x (N, C, H, W)",
    formula="""\
y[n, c, i, j] = max of x[n, c, i * stride + p, j * stride + q] over p, q < kernel_size; padding counts as -infinity
dx: every dy is added to the place of its maximum; of equal maxima one gets it, the first or the last
kernel_size and stride are integers; with pool_param, height and width of the window differ in one of the cases""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=_pooling.forward_forms(),
            cases=_pooling.pool_cases(ties=False),
            right=_right_forward,
            compute=_forward,
            mistakes={
                "the average instead of the maximum": "take the maximum of each window",
                "the minimum instead of the maximum": "take the maximum of each window",
                "the sum instead of the maximum": "take the maximum of each window",
                "the maximum of the absolute values": "take the maximum with its sign",
                "the maximum starts at 0 instead of -infinity": "wrong where all numbers of a window are negative",
                "the maximum over all channels": "every channel has a maximum of its own: axis=(2, 3)",
                "the maximum over all images": "every image has a maximum of its own: axis=(2, 3)",
                "the maximum over the whole batch": "every image and channel has a maximum of its own: axis=(2, 3)",
                "the first pixel of the window instead of the maximum": "take the maximum of each window",
                "the place of the maximum instead of the maximum": "np.max, not np.argmax",
                "padded with zeros instead of -infinity": "zeros of the padding win over negative numbers",
                **_pooling.WINDOW_MISTAKES,
                **_pooling.OUTPUT_MISTAKES,
            },
            quantities=_pooling.quantities,
            hints=_pooling.HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=_pooling.backward_forms(),
            cases=_pooling.pool_cases(ties=True),
            right=_right_backward,
            compute=_backward,
            mistakes={
                "the gradient goes to every one of equal maxima": "every tie gets the whole gradient; only one of "
                "equal maxima "
                "may get it, since dy would be counted several times",
                "the gradient is divided among equal maxima": "one of equal maxima gets it",
                "overwritten where windows overlap: assigned instead of added": "dx[window] += ...",
                "overwritten where maxima coincide: assigned instead of added": "a pixel may be the maximum of "
                "several windows: add",
                "the gradient goes to every pixel of the window": "only to the maximum",
                "the gradient is spread evenly over the window, as in average pooling": "only to the maximum",
                "the gradient goes to the minimum": "to the maximum",
                "the gradient goes to the first pixel of the window": "a wrong place: to the maximum",
                "row and column of the maximum are exchanged": "a wrong place: np.unravel_index gives (row, column)",
                "dy is ignored: the mask of the maxima alone": "multiply the mask by dy",
                "multiplied by the maximum itself": "the derivative is 1 at the maximum",
                "the maximum of all channels gets the gradient": "every channel has a maximum of its own",
                "the sum of dy over the channels": "every channel has a dy of its own",
                **_pooling.WINDOW_MISTAKES,
                "the padding is not cut off from dx": "dx has the shape of x",
                "the padding is cut off from dx on the wrong side": "dx_padded[:, :, p:p + H, p:p + W]",
            },
            quantities=_pooling.quantities,
            hints=_pooling.HINTS,
        ),
    ),
)
