"""Average pooling."""

import numpy as np

from fastnn import reference
from fastnn.grading.operation import Inputs, Operation, PartOfOperation, Results, Wrong
from fastnn.grading.operations import _pooling
from fastnn.grading.operations._shared import double

__all__ = ["OPERATION"]


def _settings(i: Inputs) -> tuple:
    out = _pooling.out_shape(i, frozenset())
    return i["kernel"], (i["stride"],) * 2, (i["padding"],) * 2, (1, 1), out, True


def _right_forward(inputs: Inputs) -> Results:
    i = double(inputs)
    return {"y": reference.avg_pool2d(i["x"], *_settings(i))}


def _divisor(i: Inputs, rows: slice, columns: slice, wrong: Wrong) -> float:
    r, s = i["kernel"]
    size = float((rows.stop - rows.start) * (columns.stop - columns.start))
    if "the padding is not counted: divided by the pixels of the image only" in wrong:
        (h, w), p = i["x"].shape[2:], i["padding"]
        inside = (min(rows.stop, h + p) - max(rows.start, p)) * (min(columns.stop, w + p) - max(columns.start, p))
        size = float(inside)
    if "not divided: the sum instead of the average" in wrong:
        size = 1.0
    if "divided by the height of the window only" in wrong:
        size = r
    if "divided by the width of the window only" in wrong:
        size = s
    if "divided by the square of the stride" in wrong:
        size = i["stride"] ** 2
    if "divided by the stride" in wrong:
        size = i["stride"]
    if "divided by the area of the image" in wrong:
        size = i["x"][0, 0].size
    if "divided by the area of the output" in wrong:
        size = i["dy"][0, 0].size
    if "divided by the square of the area" in wrong:
        size = size * size
    if "divided by height plus width" in wrong:
        size = r + s
    return size


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    p = 0 if "the padding is ignored" in wrong else i["padding"]
    x = np.pad(i["x"], ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.zeros((*x.shape[:2], *_pooling.out_shape(i, wrong)))
    for a, b, rows, columns in _pooling.places(i, wrong):
        window = x[:, :, rows, columns]
        if "the maximum instead of the average" in wrong:
            y[:, :, a, b] = window.max((2, 3))
        elif "the median instead of the average" in wrong:
            y[:, :, a, b] = np.median(window, (2, 3))
        elif "averaged over all channels" in wrong:
            y[:, :, a, b] = window.mean((1, 2, 3))[:, None]
        elif "averaged over all images" in wrong:
            y[:, :, a, b] = window.mean((0, 2, 3))[None]
        elif "averaged over the whole batch" in wrong:
            y[:, :, a, b] = window.mean()
        else:
            y[:, :, a, b] = window.sum((2, 3)) / _divisor(i, rows, columns, wrong)
    if "only the first image is computed" in wrong:
        y[1:] = 0
    if "only the first channel is computed" in wrong:
        y[:, 1:] = 0
    return {"y": y}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    return {"dx": reference.avg_pool2d_backward(i["dy"], i["x"].shape, *_settings(i))}


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    p, dy = i["padding"], i["dy"]
    dx = np.zeros(np.pad(i["x"], ((0, 0), (0, 0), (p, p), (p, p))).shape)
    for a, b, rows, columns in _pooling.places(i, wrong):
        target = dx[:, :, rows, columns]
        share = np.broadcast_to(dy[:, :, a, b, None, None] / _divisor(i, rows, columns, wrong), target.shape)
        if "the gradient goes to the maximum only, as in max pooling" in wrong:
            window = np.pad(i["x"], ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-np.inf)[:, :, rows, columns]
            share = (window == window.max((2, 3), keepdims=True)) * dy[:, :, a, b, None, None]
        if "the gradient goes to the first pixel of the window only" in wrong:
            share = np.zeros_like(share)
            share[:, :, 0, 0] = dy[:, :, a, b] / _divisor(i, rows, columns, wrong)
        if "dy is ignored: 1 / area" in wrong:
            share = np.ones_like(share) / _divisor(i, rows, columns, wrong)
        if "multiplied by x" in wrong:
            x = np.pad(i["x"], ((0, 0), (0, 0), (p, p), (p, p)))
            share = share * x[:, :, rows, columns]
        if "the sum of dy over the channels" in wrong:
            share = np.broadcast_to(share.sum(1, keepdims=True), share.shape)
        if "the average of dy over the images" in wrong:
            share = np.broadcast_to(share.mean(0, keepdims=True), share.shape)
        if "overwritten where windows overlap: assigned instead of added" in wrong:
            dx[:, :, rows, columns] = share
        else:
            dx[:, :, rows, columns] += share
    h, w = i["x"].shape[2:]
    if "the padding is not cut off from dx" not in wrong:
        first = 0 if "the padding is cut off from dx on the wrong side" in wrong else p
        dx = dx[:, :, first : first + h, first : first + w]
    return {"dx": dx}


_DIVISOR_MISTAKES = {
    "the padding is not counted: divided by the pixels of the image only": "wrong count at the border: divide by the "
    "area of "
    "the window everywhere (count_include_pad=True in PyTorch)",
    "not divided: the sum instead of the average": "divide by the area of the window",
    "divided by the height of the window only": "divide by height times width",
    "divided by the width of the window only": "divide by height times width",
    "divided by the square of the stride": "divide by the area of the window",
    "divided by the stride": "divide by the area of the window",
    "divided by the area of the image": "divide by the area of the window",
    "divided by the area of the output": "divide by the area of the window",
    "divided by the square of the area": "divide by the area of the window once",
    "divided by height plus width": "divide by height times width",
}

OPERATION = Operation(
    name="avg_pool2d",
    title="Average pooling of x (N, C, H, W)",
    formula="""\
y[n, c, i, j] = sum of x[n, c, i * stride + p, j * stride + q] over the window, divided by the area of the window
padding is zeros, which count (count_include_pad=True in PyTorch)
dx: every dy, divided by the area, is added to all pixels of its window
kernel_size and stride are integers; with pool_param, height and width of the window differ in one of the cases""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=_pooling.forward_forms(),
            cases=_pooling.pool_cases(ties=False),
            right=_right_forward,
            compute=_forward,
            mistakes={
                **_DIVISOR_MISTAKES,
                "the maximum instead of the average": "take the average of each window",
                "the median instead of the average": "take the average of each window",
                "averaged over all channels": "every channel has an average of its own: axis=(2, 3)",
                "averaged over all images": "every image has an average of its own: axis=(2, 3)",
                "averaged over the whole batch": "every image and channel has an average of its own: axis=(2, 3)",
                **_pooling.WINDOW_MISTAKES,
                **_pooling.OUTPUT_MISTAKES,
            },
            quantities=_pooling.quantities,
            hints=_pooling.HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=_pooling.backward_forms(),
            cases=_pooling.pool_cases(ties=False),
            right=_right_backward,
            compute=_backward,
            mistakes={
                **_DIVISOR_MISTAKES,
                "overwritten where windows overlap: assigned instead of added": "dx[window] += ...",
                "the gradient goes to the maximum only, as in max pooling": "every pixel of the window gets dy / area",
                "the gradient goes to the first pixel of the window only": "every pixel of the window gets dy / area",
                "dy is ignored: 1 / area": "every pixel of the window gets dy / area",
                "multiplied by x": "every pixel of the window gets dy / area",
                "the sum of dy over the channels": "every channel has a dy of its own",
                "the average of dy over the images": "every image has a dy of its own",
                **_pooling.WINDOW_MISTAKES,
                "the padding is not cut off from dx": "dx has the shape of x",
                "the padding is cut off from dx on the wrong side": "dx_padded[:, :, p:p + H, p:p + W]",
            },
            quantities=_pooling.quantities,
            hints=_pooling.HINTS,
        ),
    ),
)
