"""Two-dimensional convolution."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, GRADIENTS, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(
        label: str,
        x_shape: tuple[int, int, int, int],
        k: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        dtype: Any = np.float64,
        **more: Any,
    ) -> Case:
        h, w = (_out(x_shape[2 + a], kernel[a], stride, padding) for a in (0, 1))
        arrays = {
            "x": rng.standard_normal(x_shape),
            "weight": rng.standard_normal((k, x_shape[1], *kernel)),
            "bias": rng.standard_normal(k),
            "dy": rng.standard_normal((x_shape[0], k, h, w)),
        }
        inputs: Inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        inputs |= {"stride": stride, "padding": padding}
        tags = [*more.pop("tags", ())]
        tags += ["stride 2 or 3"] * (stride > 1) + ["padding"] * (padding > 0)
        words = f"{label}x {x_shape}, weight {(k, x_shape[1], *kernel)}, stride {stride}, padding {padding}"
        return Case(words, inputs, tuple(tags), **more)

    return [
        case("", (2, 3, 5, 6), 4, (3, 3)),
        case("", (2, 2, 4, 5), 3, (3, 3), padding=1),
        case("", (2, 3, 7, 5), 2, (3, 3), stride=2),
        case("", (3, 2, 5, 7), 4, (3, 3), stride=2, padding=1),
        case("one image, ", (1, 2, 4, 4), 3, (2, 2), tags=("one image", "square images")),
        case("one channel, one filter, ", (2, 1, 5, 4), 1, (3, 3), tags=("one channel",)),
        case("filter that is not square, ", (2, 2, 5, 6), 3, (2, 3), tags=("filter that is not square",)),
        case("1 x 1 filter, ", (2, 3, 3, 4), 2, (1, 1), tags=("1 x 1 filter",)),
        case("as many filters as channels, ", (2, 3, 5, 5), 3, (3, 3), tags=("square images",)),
        case("", (2, 2, 8, 8), 2, (2, 2), stride=3, padding=2, tags=("square images",)),
        case("float32, ", (2, 3, 5, 5), 2, (3, 3), padding=1, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _out(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def _settings(i: Inputs) -> tuple[Any, Any, Any]:
    return (i["stride"],) * 2, (i["padding"],) * 2, (1, 1)


def _right_forward(inputs: Inputs) -> Results:
    i = double(inputs)
    h, w = (_out(i["x"].shape[2 + a], i["weight"].shape[2 + a], i["stride"], i["padding"]) for a in (0, 1))
    return {"y": reference.conv2d(i["x"], i["weight"], i["bias"], *_settings(i), 1, (h, w))}


def _pads(p: int, wrong: Wrong) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many zeros come before and after the rows, and before and after the columns."""
    rows = columns = (p, p)
    if "padding on the right and at the bottom only" in wrong:
        rows = columns = (0, 2 * p)
    if "padding on the left and at the top only" in wrong:
        rows = columns = (2 * p, 0)
    if "padded once instead of on both sides, at the end" in wrong:
        rows = columns = (0, p)
    if "padded once instead of on both sides, at the start" in wrong:
        rows = columns = (p, 0)
    if "only the rows are padded" in wrong:
        columns = (0, 0)
    if "only the columns are padded" in wrong:
        rows = (0, 0)
    if "the padding is ignored" in wrong:
        rows = columns = (0, 0)
    return rows, columns


def _padded(x: NDArray, p: int, wrong: Wrong) -> NDArray:
    rows, columns = _pads(p, wrong)
    if "padded with the pixels of the border instead of zeros" in wrong:
        return np.pad(x, ((0, 0), (0, 0), rows, columns), mode="edge")
    value = 1.0 if "padded with ones instead of zeros" in wrong else 0.0
    return np.pad(x, ((0, 0), (0, 0), rows, columns), constant_values=value)


def _places(i: Inputs, wrong: Wrong) -> Iterator[tuple[int, int, slice, slice]]:
    """(row, column of the output, rows, columns of the window in the padded image)."""
    stride = i["stride"]
    rows, columns = _pads(i["padding"], wrong)
    r, s = i["weight"].shape[2:]
    if "rows and columns of the filter are exchanged" in wrong:
        r, s = s, r
    h, w = i["x"].shape[2] + sum(rows), i["x"].shape[3] + sum(columns)
    if "the padding counts once in the size of the output" in wrong:
        h, w = h - i["padding"], w - i["padding"]
    out_h, out_w = _out(h, r, stride, 0), _out(w, s, stride, 0)
    if "the size of the output is one too small" in wrong:
        out_h, out_w = out_h - 1, out_w - 1
    if "the output is as large as for stride 1" in wrong:
        out_h, out_w = _out(h, r, 1, 0), _out(w, s, 1, 0)
        stride = 1
    down, right = stride, stride
    if "the stride is not used for the place of the window" in wrong:
        down = right = 1
    if "the stride is used for the rows only" in wrong:
        right = 1
    if "the stride is used for the columns only" in wrong:
        down = 1
    if "the filter's size is used as the stride" in wrong:
        down, right = r, s
    first = 1 if "the window starts one pixel too late" in wrong else 0
    last_h, last_w = out_h, out_w
    if "the last row and column of the output are left out" in wrong:
        last_h, last_w = out_h - 1, out_w - 1
    for a in range(last_h):
        for b in range(last_w):
            y, x = a * down + first, b * right + first
            if "rows and columns of the window are exchanged" in wrong:
                y, x = x, y
            yield a, b, slice(y, y + r), slice(x, x + s)


def _out_shape(i: Inputs, wrong: Wrong) -> tuple[int, int]:
    places = [(a, b) for a, b, _, _ in _places(i, wrong - {"the last row and column of the output are left out"})]
    return places[-1][0] + 1, places[-1][1] + 1


def _filter(weight: NDArray, wrong: Wrong) -> NDArray:
    if "the filter is flipped" in wrong:
        weight = weight[..., ::-1, ::-1]
    if "the filter is flipped vertically" in wrong:
        weight = weight[..., ::-1, :]
    if "the filter is flipped horizontally" in wrong:
        weight = weight[..., ::-1]
    if "rows and columns of the filter are exchanged" in wrong:
        weight = weight.swapaxes(2, 3)
    if "filters and channels of the weight are exchanged" in wrong:
        weight = weight.swapaxes(0, 1)
    if "the first filter is used for every output" in wrong:
        weight = np.broadcast_to(weight[:1], weight.shape)
    if "the filter of the first channel is used for every channel" in wrong:
        weight = np.broadcast_to(weight[:, :1], weight.shape)
    keep = np.zeros(weight.shape[1])
    if "only the first channel is used" in wrong:
        keep[0] = 1
        weight = weight * keep[:, None, None]
    if "only the last channel is used: assigned instead of added" in wrong:
        keep[-1] = 1
        weight = weight * keep[:, None, None]
    return weight


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    x, bias = _padded(i["x"], i["padding"], wrong), i["bias"]
    weight = _filter(i["weight"], wrong)
    y = np.zeros((len(x), len(weight), *_out_shape(i, wrong)))
    filled = np.zeros(y.shape[2:], bool)
    for a, b, rows, columns in _places(i, wrong):
        y[:, :, a, b] = np.tensordot(x[:, :, rows, columns], weight, ((1, 2, 3), (1, 2, 3)))
        filled[a, b] = True
    size = weight[0].size
    if "averaged over the window instead of summed" in wrong:
        y = y / size
    if "averaged over the channels instead of summed" in wrong:
        y = y / weight.shape[1]
    if "the bias is not added" in wrong:
        bias = 0 * bias
    if "the bias is subtracted" in wrong:
        bias = -bias
    if "the bias is added once for each channel" in wrong:
        bias = bias * weight.shape[1]
    if "the bias is added once for each product" in wrong:
        bias = bias * size
    if "the sum of the bias is added to every channel" in wrong:
        bias = np.full_like(bias, bias.sum())
    if "the first bias is added to every channel" in wrong:
        bias = np.full_like(bias, bias[0])
    y = np.where(filled, y + bias[:, None, None], 0)
    if "only the first image is computed" in wrong:
        y[1:] = 0
    if "only the last image is computed" in wrong:
        y[:-1] = 0
    if "a ReLU is applied" in wrong:
        y = np.maximum(y, 0)
    return {"y": y}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    gradients = reference.conv2d_backward(i["dy"], i["x"], i["weight"], *_settings(i), 1)
    return dict(zip(GRADIENTS, gradients, strict=True))


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    dy, p = i["dy"], i["padding"]
    x = _padded(i["x"], p, wrong)
    weight = _filter(i["weight"], wrong)
    dx, dweight = np.zeros_like(x), np.zeros_like(i["weight"])
    for a, b, rows, columns in _places(i, wrong):
        share = np.tensordot(dy[:, :, a, b], weight, (1, 0))
        if "the weight is missing in dx" in wrong:
            share = np.broadcast_to(dy[:, :, a, b].sum(1)[:, None, None, None], share.shape)
        if "overwritten where windows overlap in dx: assigned instead of added" in wrong:
            dx[:, :, rows, columns] = share
        else:
            dx[:, :, rows, columns] += share
        each = np.einsum("nk,ncij->nkcij", dy[:, :, a, b], x[:, :, rows, columns])
        if "x is missing in dweight" in wrong:
            each = np.einsum("nk,ncij->nkcij", dy[:, :, a, b], np.ones_like(x[:, :, rows, columns]))
        if "only the first image counts in dweight" in wrong:
            each = each[:1]
        if "only the last image counts in dweight" in wrong:
            each = each[-1:]
        if "overwritten in dweight: assigned instead of added" in wrong:
            dweight = each.sum(0)
        elif "overwritten in dweight by each window of the last image" in wrong:
            dweight = each[-1]
        else:
            dweight += each.sum(0)
    h, w = i["x"].shape[2:]
    if "the padding is not cut off from dx" not in wrong and "the padding is ignored" not in wrong:
        first = p
        if "the padding is cut off from dx on the wrong side" in wrong:
            first = 0
        if "twice the padding is cut off from dx at the start" in wrong:
            first = 2 * p
        dx = dx[:, :, first : first + h, first : first + w]
    if "the gradient of the filter is flipped" in wrong:
        dweight = dweight[..., ::-1, ::-1]
    if "dweight is divided by the batch size" in wrong:
        dweight = dweight / len(x)
    if "dweight is averaged over the positions" in wrong:
        dweight = dweight / dy[0, 0].size
    dbias = dy.sum((0, 2, 3))
    if "dbias is not summed over the images" in wrong:
        dbias = dy.sum((2, 3))
    if "dbias is not summed over the positions" in wrong:
        dbias = dy.sum(0)
    if "dbias is averaged instead of summed" in wrong:
        dbias = dy.mean((0, 2, 3))
    if "dbias is averaged over the positions" in wrong:
        dbias = dy.mean((2, 3)).sum(0)
    if "dbias is divided by the batch size" in wrong:
        dbias = dy.sum((2, 3)).mean(0)
    if "dbias counts the first image only" in wrong:
        dbias = dy[0].sum((1, 2))
    if "dbias counts the last image only" in wrong:
        dbias = dy[-1].sum((1, 2))
    if "dbias is summed over everything" in wrong:
        dbias = np.asarray(dy.sum())
    if "dbias counts outputs: dy is ignored" in wrong:
        dbias = np.ones_like(dy).sum((0, 2, 3))
    return {"dx": dx, "dweight": dweight, "dbias": dbias}


_WINDOW_MISTAKES = {
    "the stride is not used for the place of the window": "for output (i, j) the window starts at (i * stride, j * "
    "stride)",
    "the stride is used for the rows only": "for output (i, j) the window starts at (i * stride, j * stride)",
    "the stride is used for the columns only": "for output (i, j) the window starts at (i * stride, j * stride)",
    "the filter's size is used as the stride": "for output (i, j) the window starts at (i * stride, j * stride)",
    "the window starts one pixel too late": "off by one: the first window starts at pixel 0 of the padded image",
    "the last row and column of the output are left out": "off by one: the loops must reach every output",
    "rows and columns of the window are exchanged": "the first index is the row (height), the second the column "
    "(width)",
    "the padding is ignored": "x must be padded with zeros on all four sides",
    "padding on the right and at the bottom only": "wrong padding side: pad all four sides with `padding` zeros",
    "padding on the left and at the top only": "wrong padding side: pad all four sides with `padding` zeros",
    "only the rows are padded": "pad height and width",
    "only the columns are padded": "pad height and width",
    "padded with ones instead of zeros": "pad with zeros",
    "padded with the pixels of the border instead of zeros": "pad with zeros",
}
_FLIP = {
    "the filter is flipped": "rotated by 180 degrees: a true convolution; deep learning uses the cross-correlation, "
    "without a flip",
    "the filter is flipped vertically": "the filter is used as it is",
    "the filter is flipped horizontally": "the filter is used as it is",
    "rows and columns of the filter are exchanged": "the filter is transposed",
    "filters and channels of the weight are exchanged": "the weight has the shape (filters, channels, height, width)",
    "the first filter is used for every output": "output channel k belongs to weight[k]",
    "the filter of the first channel is used for every channel": "channel c belongs to weight[:, c]",
    "only the first channel is used": "sum over all channels of x",
    "only the last channel is used: assigned instead of added": "sum over all channels of x",
}


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    y = _right_forward(inputs)["y"]
    bias = np.broadcast_to(i["bias"][:, None, None], y.shape)
    return {"y": {"of the products with the filter": y - bias, "of the bias": bias}}


def _quantities(inputs: Inputs) -> dict[str, float]:
    (n, c, h, w), (k, _, r, s) = inputs["x"].shape, inputs["weight"].shape
    out_h, out_w = inputs["dy"].shape[2:]
    return {
        "the batch size": n,
        "the number of channels": c,
        "the number of filters": k,
        "the area of the filter": r * s,
        "the size of the filter": c * r * s,
        "the area of the output": out_h * out_w,
        "the number of outputs of a channel": n * out_h * out_w,
        "the area of the image": h * w,
        "the stride": inputs["stride"],
    }


def _conv_param(i: Inputs) -> dict[str, Any]:
    return {"conv_param": {"stride": i["stride"], "pad": i["padding"]}}


_OPTIONS = {"stride": 1, "padding": 0}
_HINTS = {
    **FLOAT32_HINT,
    "stride 2 or 3": "right for stride 1, wrong for larger strides: is the stride used for the size of the output "
    "and for the "
    "place of every window?",
    "padding": "right without padding, wrong with it: is x padded with zeros on all four sides, and dx cut "
    "accordingly?",
    "filter that is not square": "wrong only for a filter that is not square: are its height and width told apart?",
    "one image": "wrong only for a batch of one image",
    "one channel": "wrong only for one channel",
    "1 x 1 filter": "wrong only for a 1 x 1 filter",
    "square images": "wrong only for square images",
}
_PYTORCH = ("x", "weight", "bias", "stride", "padding", "dy")
_CS231N = ("x", "w", "b", "conv_param", "dout", "cache")

OPERATION = Operation(
    name="conv2d",
    title="Convolution of x (N, C, H, W) with weight (K, C, R, S)",
    formula="""\
y[n, k, i, j] = bias[k] + sum over c, p, q of weight[k, c, p, q] * x_padded[n, c, i * stride + p, j * stride + q]
the size of y is (H + 2 * padding - R) // stride + 1; padding is zeros on all four sides; the filter is not flipped
every product of forward gives one term of dx and one of dweight; dbias = sum of dy over all axes but 1""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=(
                Form(
                    "pytorch",
                    "forward(x, weight, bias, stride=1, padding=0) -> y",
                    ("x", "weight", "bias"),
                    ("y",),
                    _OPTIONS,
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n",
                    "forward(x, w, b, conv_param) -> (out, cache), with conv_param = {stride, pad}",
                    ("x", "weight", "bias", "conv_param"),
                    ("y",),
                    arguments=_conv_param,
                    names=_CS231N,
                ),
            ),
            cases=_cases,
            right=_right_forward,
            compute=_forward,
            mistakes={
                **_FLIP,
                **_WINDOW_MISTAKES,
                "padded once instead of on both sides, at the end": "wrong padding side: pad all four sides",
                "padded once instead of on both sides, at the start": "wrong padding side: pad all four sides",
                "the padding counts once in the size of the output": "the size is (H + 2 * padding - R) // stride + 1",
                "the size of the output is one too small": "off by one: the size is (H + 2 * padding - R) // stride "
                "+ 1",
                "the output is as large as for stride 1": "the stride is ignored",
                "averaged over the window instead of summed": "nothing is divided",
                "averaged over the channels instead of summed": "nothing is divided",
                "the bias is not added": "the bias is forgotten: one number for each output channel",
                "the bias is subtracted": "y = ... + bias",
                "the bias is added once for each channel": "the bias is added once, after the sum over the channels",
                "the bias is added once for each product": "the bias is added once, after the sum",
                "the sum of the bias is added to every channel": "channel k belongs to bias[k]",
                "the first bias is added to every channel": "channel k belongs to bias[k]",
                "only the first image is computed": "go through all images",
                "only the last image is computed": "go through all images",
                "a ReLU is applied": "the layer itself has no activation",
            },
            terms=_terms,
            quantities=_quantities,
            hints=_HINTS,
            expensive=True,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form(
                    "pytorch",
                    "backward(dy, x, weight, stride=1, padding=0) -> (dx, dweight, dbias)",
                    ("dy", "x", "weight"),
                    GRADIENTS,
                    _OPTIONS,
                    names=_PYTORCH,
                ),
                Form(
                    "pytorch", "backward(dy, cache) -> (dx, dweight, dbias)", ("dy", "cache"), GRADIENTS, names=("dy",)
                ),
                Form("cs231n", "backward(dout, cache) -> (dx, dw, db)", ("dy", "cache"), GRADIENTS, names=_CS231N),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes={
                "overwritten where windows overlap in dx: assigned instead of added": "dx[window] += ...",
                "overwritten in dweight: assigned instead of added": "dweight += ... for every position",
                "overwritten in dweight by each window of the last image": "dweight += ... for every image and "
                "position",
                **_FLIP,
                "the gradient of the filter is flipped": "dweight has the orientation of the weight",
                "the weight is missing in dx": "dx sums dy times weight",
                "x is missing in dweight": "dweight sums dy times x",
                **_WINDOW_MISTAKES,
                "the padding is not cut off from dx": "dx has the shape of x: dx_padded[:, :, p:-p, p:-p]",
                "the padding is cut off from dx on the wrong side": "dx_padded[:, :, p:p + H, p:p + W]",
                "twice the padding is cut off from dx at the start": "dx_padded[:, :, p:p + H, p:p + W]",
                "only the first image counts in dweight": "sum over all images",
                "only the last image counts in dweight": "assigned instead of added: sum over all images",
                "dweight is divided by the batch size": "sum over the images; dy holds that factor already",
                "dweight is averaged over the positions": "sum over the positions",
                "dbias is not summed over the images": "sum over all axes but 1: dy.sum(axis=(0, 2, 3))",
                "dbias is not summed over the positions": "sum over all axes but 1: dy.sum(axis=(0, 2, 3))",
                "dbias is averaged instead of summed": "mean for sum: dy.sum(axis=(0, 2, 3))",
                "dbias is averaged over the positions": "mean for sum: dy.sum(axis=(0, 2, 3))",
                "dbias is divided by the batch size": "mean for sum: dy.sum(axis=(0, 2, 3))",
                "dbias counts the first image only": "sum over all images",
                "dbias counts the last image only": "assigned instead of added: sum over all images",
                "dbias is summed over everything": "dy.sum(axis=(0, 2, 3))",
                "dbias counts outputs: dy is ignored": "dy.sum(axis=(0, 2, 3))",
            },
            quantities=_quantities,
            hints=_HINTS,
            expensive=True,
        ),
    ),
)
